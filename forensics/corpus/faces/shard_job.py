"""Builds one shard of faces: decode, and for every item forge, check, frame, send."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from forensics.corpus.faces.framing import Box, frame, rescaled, without_colour
from forensics.corpus.faces.photo import Photo, PhotoReader, the_face
from forensics.corpus.faces.plan import FacePlan, PlannedItem, PlannedPhoto
from forensics.corpus.jobs import REJECTED, ShardJob
from forensics.corpus.names import BONAFIDE, item_key, item_seed
from forensics.corpus.pictures.checks import malformed, rejection
from forensics.corpus.pictures.encoder import Sent, send
from forensics.corpus.plan import PlannedSystem
from forensics.corpus.shard_job import ShardBuilder, ShardRun, describe
from forensics.errors import MediaError
from forensics.faces.base import Face
from forensics.faces.tools import FaceTools, open_faces
from forensics.generators.face.base import FORGERS, FaceForger, FaceRequest, Portrait
from forensics.generators.image.base import Edited
from forensics.media.image import mask_png
from forensics.shards.format import Failure, Item, ItemMeta, canonical_json

# The kinds that make a whole new picture, in which the face is anywhere.
_ANEW = ("fullsynth", "idpreserve")


class _Kept:
    """What a worker keeps between shards: a reader, and who finds faces."""

    def __init__(self, plan: FacePlan, source_root: Path):
        import cv2

        cv2.setNumThreads(1)  # one core a worker, as the supervisor asks of other libraries
        self.reader = PhotoReader(source_root, plan.recipe.photos)
        self.tools = open_faces(plan.recipe.faces)


class FaceShardRun(ShardRun[FacePlan, FaceForger]):
    """One pass over one shard, photo after photo."""

    registry = FORGERS

    def __init__(self, builder: ShardBuilder, job: ShardJob):
        super().__init__(builder, job)
        if builder.kept is None:
            builder.kept = _Kept(self.plan, builder.source_root)
        self.reader: PhotoReader = builder.kept.reader
        self.tools: FaceTools = builder.kept.tools

    def items(self) -> Iterator[Item]:
        for planned in self.families():
            source = planned.source
            pixels = self.read_source(planned, partial(self.reader.read, source))
            for item in sorted(planned.items, key=lambda one: item_key(source.id, one.name)):
                made = pixels if isinstance(pixels, str) else self._item(planned, item, pixels)
                if isinstance(made, str):
                    self._fail(planned, item, made)
                else:
                    yield made

    def _fail(self, planned: PlannedPhoto, item: PlannedItem, reason: str) -> None:
        key, system = item_key(planned.source.id, item.name), self._system(item)
        self.failures.append(
            Failure(
                key=key,
                source_id=planned.source.id,
                system=system.name if system else BONAFIDE,
                reason=reason,
            )
        )

    def _system(self, item: PlannedItem) -> PlannedSystem | None:
        """Who forges it; None for a photo that is shown as it is."""
        return self.systems.get(item.name)

    def _item(self, planned: PlannedPhoto, item: PlannedItem, pixels: np.ndarray) -> Item | str:
        """One item, or why there is none. Forged or real, all take the same road."""
        recipe, system = self.plan.recipe, self._system(item)
        made: Edited | None = None
        face, key = _face(planned.source), item_key(planned.source.id, item.name)
        if system is not None:
            forged = self._forged(planned, item, system, pixels)
            if isinstance(forged, str):
                return forged
            made = forged
            if system.kind in _ANEW:
                found = self._found_again(made.pixels, key)
                if isinstance(found, str):
                    return found
                face = found
        seed = item_seed(recipe.seed, "road", key)
        image, mask = (made.pixels, made.mask) if made else (pixels, None)
        if planned.source.grey:  # or a trace of colour would tell what a decoder made
            image = without_colour(image)
        least = recipe.faces.locator.least_side
        framed = frame(image, mask, face.box, recipe.framing, seed, least)
        sent = send(framed.pixels, framed.mask, recipe.conditions, recipe.encoder, seed)
        if sent.mask is not None and not sent.mask.any():
            return f"{REJECTED}the cut left nothing of what was changed"
        box = rescaled(framed.box, framed.pixels.shape[:2], sent.pixels.shape[:2])
        return Item(
            key=key,
            extension=sent.extension,
            media=sent.media,
            meta=self._meta(planned, item, made, sent, box, framed.drawn),
            mask=None if sent.mask is None else mask_png(sent.mask),
        )

    def _forged(
        self, planned: PlannedPhoto, item: PlannedItem, system: PlannedSystem, pixels: np.ndarray
    ) -> Edited | str:
        key = item_key(planned.source.id, item.name)
        if key in self.job.excluded:
            return self.job.excluded[key]
        donors = self.watched("source", [key], lambda _: self._donors(item))
        if isinstance(donors, Exception):
            return (
                f"source: {donors.reason}" if isinstance(donors, MediaError) else describe(donors)
            )
        seed = item_seed(self.plan.recipe.seed, "generate", key)
        target = _portrait(planned.source, pixels)
        request = FaceRequest(key, seed, target, donors, item.prompt)
        edited = self.call(system, [key], lambda forger: forger.forge(request))
        if isinstance(edited, Exception):
            return describe(edited)
        return self._rejection(pixels, edited) or edited

    def _found_again(self, pixels: np.ndarray, key: str) -> Face | str:
        """The face of a picture that was made anew, or why it is not used."""
        found = self.watched(
            "faces",
            [key],
            lambda _: the_face(self.tools.locate(pixels), self.plan.recipe.photos.dominant),
        )
        if isinstance(found, Exception):
            return describe(found)
        return f"{REJECTED}of faces in what was made, {found}" if isinstance(found, str) else found

    def _donors(self, item: PlannedItem) -> tuple[Portrait, ...]:
        photos = [self.plan.photo(name).source for name in item.donors]
        return tuple(_portrait(photo, self.reader.read(photo)) for photo in photos)

    def _rejection(self, pixels: np.ndarray, edited: Edited) -> str | None:
        try:
            reason = malformed(edited, pixels.shape)
            if reason is None:
                canonical_json(edited.details)
                reason = rejection(pixels, edited, self.plan.recipe.checks)
        except Exception as error:  # details that are not JSON
            return describe(error)
        return reason

    def _meta(
        self,
        planned: PlannedPhoto,
        item: PlannedItem,
        made: Edited | None,
        sent: Sent,
        box: Box,
        framed: dict[str, Any],
    ) -> ItemMeta:
        source, system = planned.source, self._system(item)
        donors = [self.plan.photo(name) for name in item.donors]
        height, width = sent.pixels.shape[:2]
        return ItemMeta(
            label="spoof" if system else "bonafide",
            modality="image",
            system=system.name if system else BONAFIDE,
            system_version=system.fingerprint if system else "",
            kind=system.kind if system else BONAFIDE,
            source_id=source.id,
            group=source.group,
            domain=source.domain,
            split=self.shard.split,
            seed=item_seed(self.plan.recipe.seed, "generate", item_key(source.id, item.name)),
            params=_params(planned, item, donors, made, sent) | {"box": list(box)},
            conditions=({"use": "frame", **framed}, *sent.conditions),
            licence="; ".join(sorted({one.licence for one in (planned, *donors)})),
            parent=source.sha256 or "",
            sha256=hashlib.sha256(sent.media).hexdigest(),
            width=width,
            height=height,
        )


def _params(
    planned: PlannedPhoto,
    item: PlannedItem,
    donors: list[PlannedPhoto],
    made: Edited | None,
    sent: Sent,
) -> dict[str, Any]:
    """What is claimed, what is shown, and how it was made; see docs/identity-corpus.md."""
    grounds = {one.source.consent for one in (planned, *donors)}
    told: dict[str, Any] = {
        "role": item.role,
        "claimed": item.claimed,
        "shows": item.shows,
        "scene": planned.source.identity,
        "use": planned.use,
        "consent": "; ".join(sorted(grounds)),
    }
    if made is None or sent.mask is None:
        return told
    told |= {"mode": made.mode, "area": round(float(sent.mask.mean()), 6)}
    if item.prompt:
        told["prompt"] = item.prompt
    if donors:
        told["donors"] = [
            {"identity": one.source.identity, "id": one.source.id, "sha256": one.source.sha256}
            for one in donors
        ]
    return made.details | told


def _portrait(photo: Photo, pixels: np.ndarray) -> Portrait:
    """A copy: whatever a forger does to it, others see the photo as it is."""
    return Portrait(photo.identity, pixels.copy(), _face(photo))


def _face(photo: Photo) -> Face:
    assert photo.face is not None  # read, so not broken
    return photo.face.face()
