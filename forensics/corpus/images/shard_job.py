"""Builds one shard of images: decode, and for every item plan, edit, check, send."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple, TypeVar

import numpy as np

from forensics.corpus.images.plan import ImagePlan, PlannedFrame
from forensics.corpus.images.scenes import PLANNER, REALISM, Scenes
from forensics.corpus.jobs import NO_SCENE, REJECTED, ShardJob
from forensics.corpus.names import BONAFIDE, item_key, item_seed
from forensics.corpus.pictures.checks import malformed, rejection
from forensics.corpus.pictures.encoder import Sent, send
from forensics.corpus.plan import PlannedSystem
from forensics.corpus.shard_job import LOADING_S, ShardBuilder, ShardRun, describe
from forensics.generators.image.base import EDITORS, Edited, EditRequest, ImageEditor
from forensics.media.image import mask_png
from forensics.scenes.camera import Camera
from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.errors import SceneError
from forensics.shards.format import Item, ItemMeta, canonical_json

T = TypeVar("T")


class _Made(NamedTuple):
    """An edit that passed all checks."""

    edited: Edited
    plan: EditPlan


class ImageShardRun(ShardRun[ImagePlan, ImageEditor]):
    """One pass over one shard, family after family, so that memory holds one frame's edit."""

    registry = EDITORS

    def __init__(self, builder: ShardBuilder, job: ShardJob):
        super().__init__(builder, job)
        if builder.kept is None:
            builder.kept = Scenes(self.plan, builder.source_root)
        self.scenes: Scenes = builder.kept
        # What an editor can do may depend on its parameters.
        self.edits = {
            name: EDITORS.get(system.use)(**system.params).edits
            for name, system in self.systems.items()
        }

    def items(self) -> Iterator[Item]:
        for planned in self.families():
            source, names = planned.source, self.plan.members(planned)
            pixels = self.read_source(
                planned, lambda source=source: self.scenes.reader.read(source)
            )
            if isinstance(pixels, str):
                for name in names:
                    self.fail(planned, name, pixels)
                continue
            for name in sorted(names, key=partial(item_key, source.id)):
                item = self._item(planned, name, pixels)
                if isinstance(item, str):
                    self.fail(planned, name, item)
                else:
                    yield item

    def _item(self, planned: PlannedFrame, name: str, pixels: np.ndarray) -> Item | str:
        """One item, or why there is none. Forged or pristine, all are sent by the same code."""
        made = None
        if name != BONAFIDE:
            made = self._forged(planned, self.systems[name], pixels)
            if isinstance(made, str):
                return made
        key = item_key(planned.source.id, name)
        seed = item_seed(self.plan.recipe.seed, "road", key)
        image, mask = (made.edited.pixels, made.edited.mask) if made else (pixels, None)
        recipe = self.plan.recipe
        sent = send(image, mask, recipe.conditions, recipe.encoder, seed)
        if sent.mask is not None and not sent.mask.any():
            return f"{REJECTED}the channel left nothing of the region"
        return Item(
            key=key,
            extension=sent.extension,
            media=sent.media,
            meta=self._meta(planned, name, made, sent),
            mask=None if sent.mask is None else mask_png(sent.mask),
        )

    def _forged(
        self, planned: PlannedFrame, system: PlannedSystem, pixels: np.ndarray
    ) -> _Made | str:
        key = item_key(planned.source.id, system.name)
        if key in self.job.excluded:
            return self.job.excluded[key]
        scene = self._scene(planned, system, pixels, key)
        if isinstance(scene, str):
            return scene
        camera, plan, mask = scene
        seed = item_seed(self.plan.recipe.seed, "generate", key)
        # A copy: the pristine item and the edits of others stay what they are.
        request = EditRequest(key, seed, pixels.copy(), mask, plan, camera)
        edited = self.call(system, [key], lambda engine: engine.edit(request))
        if isinstance(edited, Exception):
            return describe(edited)
        return self._rejection(pixels, edited, plan, key) or _Made(edited, plan)

    def _scene(
        self, planned: PlannedFrame, system: PlannedSystem, pixels: np.ndarray, key: str
    ) -> tuple[Camera | None, EditPlan, np.ndarray] | str:
        """A plan for this system and frame, or why there is none."""
        recipe = self.plan.recipe
        allowed: tuple[EditType, ...] = tuple(
            edit for edit in recipe.edits if edit in self.edits[system.name]
        )
        # Not the editor's seed: its first draws would be the planner's over again.
        seed = item_seed(recipe.seed, "scene", key)
        scene = self._asked(PLANNER, key, lambda: self.scenes.plan(planned, pixels, allowed, seed))
        if isinstance(scene, Exception):
            nothing = isinstance(scene, SceneError)
            return f"{NO_SCENE}{scene.reason}" if nothing else f"{PLANNER}: {describe(scene)}"
        return scene

    def _asked(self, name: str, key: str, work: Callable[[], T]) -> T | Exception:
        """Ask planner or realism filter, under watch; the first time it may have to load."""

        def ask(calling: Callable[[float], None]) -> T:
            if name in self.scenes.unloaded:
                calling(LOADING_S + self.plan.recipe.timeout_s)
            answer = work()
            self.scenes.unloaded.discard(name)
            return answer

        return self.watched(name, [key], ask)

    def _rejection(
        self, pixels: np.ndarray, edited: Edited, plan: EditPlan, key: str
    ) -> str | None:
        try:
            reason = malformed(edited, pixels.shape)
            if reason is None:
                canonical_json(edited.details)
                reason = rejection(pixels, edited, self.plan.recipe.checks)
        except Exception as error:  # details that are not JSON
            return describe(error)
        realism = self.scenes.realism
        if reason or realism is None:
            return reason
        believed = self._asked(REALISM, key, lambda: realism.judge(pixels, edited.pixels, plan))
        if isinstance(believed, Exception):
            return describe(believed)
        return None if believed else f"{REJECTED}nobody would believe it"

    def _meta(self, planned: PlannedFrame, name: str, made: _Made | None, sent: Sent) -> ItemMeta:
        source, system = planned.source, self.systems.get(name)
        height, width = sent.pixels.shape[:2]
        return ItemMeta(
            label="spoof" if system else "bonafide",
            modality="image",
            system=name,
            system_version=system.fingerprint if system else "",
            kind=system.kind if system else BONAFIDE,
            source_id=source.id,
            group=source.group,
            domain=source.domain,
            split=self.shard.split,
            seed=item_seed(self.plan.recipe.seed, "generate", item_key(source.id, name)),
            params=_params(made, sent) if made else {},
            conditions=sent.conditions,
            licence=planned.licence,
            parent=source.sha256 or "",
            sha256=hashlib.sha256(sent.media).hexdigest(),
            width=width,
            height=height,
        )


def _params(made: _Made, sent: Sent) -> dict[str, Any]:
    """What was edited and how; box and area are those of the mask as it lies beside the item."""
    assert sent.mask is not None
    rows, columns = np.flatnonzero(sent.mask.any(axis=1)), np.flatnonzero(sent.mask.any(axis=0))
    plan = made.plan
    return {
        **made.edited.details,
        "edit": plan.edit,
        "mode": made.edited.mode,
        "box": [int(v) for v in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)],
        "area": round(float(sent.mask.mean()), 6),
        "target": plan.target,
        "replacement": plan.replacement,
        "instruction": plan.instruction,
        "planner": plan.planner,
    }
