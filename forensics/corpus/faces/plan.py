"""The plan of a corpus of faces: every photo with its split, and every claim that is made of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from importlib.metadata import version
from typing import Literal

import numpy as np

from forensics.corpus.faces.cast import Cast, enrolment
from forensics.corpus.faces.photo import Photo
from forensics.corpus.faces.recipe import FaceRecipe, FaceSystemSpec, ForgedRole
from forensics.corpus.faces.source import FaceSource
from forensics.corpus.names import BONAFIDE, item_seed
from forensics.corpus.pictures.encoder import ROAD_VERSION
from forensics.corpus.plan import (
    Frozen,
    Plan,
    PlannedShard,
    PlannedSource,
    PlannedSystem,
    assign_splits,
    resolve_systems,
    sliced,
)
from forensics.faces.tools import open_faces
from forensics.generators.face.base import FORGERS, FaceForger, FaceKind
from forensics.shards.format import Split

LOOKALIKE = "lookalike"
NOBODY = ""
# Part of every plan; raise it with any change of framing that moves a pixel.
FRAMING_VERSION = "2"

Use = Literal["enrol", "probe"]
Role = Literal["real", "lookalike"] | ForgedRole
_ROLES: dict[FaceKind, ForgedRole] = {
    "faceswap": "swap",
    "selfblend": "selfblend",
    "regeneration": "regeneration",
    "fullsynth": "fullsynth",
    "idpreserve": "idpreserve",
    "context": "context",
}


class PlannedItem(Frozen):
    """One item made of a photo.

    Attributes:
        name: unique among those of the photo: "bonafide", "lookalike", or the system's.
        claimed: the person whom it claims to show.
        shows: whose face it shows; empty for a face of nobody.
        donors: ids of the photos that a forger gets besides.
    """

    name: str
    role: Role
    claimed: str
    shows: str
    donors: tuple[str, ...] = ()
    prompt: str = ""


class PlannedPhoto(PlannedSource[Photo]):
    """A photo with its split, its use, and all items that are made of it."""

    use: Use
    items: tuple[PlannedItem, ...]


class FaceShard(PlannedShard[PlannedPhoto]):
    """One unit of work: photos of one domain and split with their items."""

    photos: tuple[PlannedPhoto, ...]

    @property
    def families(self) -> tuple[PlannedPhoto, ...]:
        return self.photos


class FacePlan(Plan[FaceRecipe, FaceShard, PlannedPhoto]):
    """Every claim about every photo."""

    def members(self, planned: PlannedPhoto) -> list[str]:
        return [item.name for item in planned.items]

    def photo(self, name: str) -> PlannedPhoto:
        """By the id of its source item."""
        return self._by_id[name]

    @property
    def all_photos(self) -> Iterator[PlannedPhoto]:
        return (planned for shard in self.shards for planned in shard.photos)

    @cached_property
    def _by_id(self) -> dict[str, PlannedPhoto]:
        return {planned.source.id: planned for planned in self.all_photos}


def make_plan(recipe: FaceRecipe, source: FaceSource) -> FacePlan:
    """Expand.

    Raises:
        UsageError: wrong parameters, or a source whose people cross its own splits.
    """
    systems, missing = resolve_systems(recipe, FORGERS)
    splits = _splits(recipe, source.items)
    photos = _cast(recipe, source, splits, systems)

    def order(planned: PlannedPhoto) -> tuple[int, str]:
        name = planned.source.id
        return item_seed(recipe.seed, "order", name), name

    shards = tuple(
        FaceShard(name=name, split=split, domain=domain, photos=members)
        for name, split, domain, members in sliced(
            recipe.name, photos, recipe.photos_per_shard, order
        )
    )
    return FacePlan(
        recipe=recipe,
        systems=systems,
        missing=missing,
        road=_road_versions(recipe),
        shards=shards,
    ).sealed()


def _splits(recipe: FaceRecipe, photos: list[Photo]) -> dict[str, Split]:
    """group → split. People without colour are dealt apart from the others, so that each split has
    its share of both: faces are put among their like alone."""
    coloured = {photo.group for photo in photos if photo.width and not photo.grey}
    found: dict[str, Split] = {}
    for colour in (True, False):
        found |= assign_splits(recipe, [p for p in photos if (p.group in coloured) is colour])
    return found


def _cast(
    recipe: FaceRecipe,
    source: FaceSource,
    splits: Mapping[str, Split],
    systems: tuple[PlannedSystem, ...],
) -> list[PlannedPhoto]:
    usable = [photo for photo in source.items if not photo.broken]
    apart = enrolment(usable, recipe.enrol, recipe.seed)
    found = [
        _planned(recipe, photo, splits, "probe", [_real(photo)])
        for photo in source.items
        if photo.broken
    ]
    found += [
        _planned(recipe, photo, splits, "enrol", [_real(photo)])
        for photo in usable
        if photo.id in apart
    ]
    for split in sorted(set(splits.values())):
        probes = [p for p in usable if p.id not in apart and splits[p.group] == split]
        scenes = _Scenes(recipe, split, probes, source.embeddings, systems)
        found += [_planned(recipe, photo, splits, "probe", scenes.items(photo)) for photo in probes]
    return found


def _planned(
    recipe: FaceRecipe,
    photo: Photo,
    splits: Mapping[str, Split],
    use: Use,
    items: list[PlannedItem],
) -> PlannedPhoto:
    return PlannedPhoto(
        source=photo,
        split=splits[photo.group],
        licence=photo.licence or recipe.licence,
        use=use,
        items=tuple(items),
    )


def _real(photo: Photo) -> PlannedItem:
    return PlannedItem(name=BONAFIDE, role="real", claimed=photo.identity, shows=photo.identity)


class _Scenes:
    """What is made of the photos of one split: nothing of it leaves the split."""

    def __init__(
        self,
        recipe: FaceRecipe,
        split: Split,
        photos: list[Photo],
        embeddings: Mapping[str, np.ndarray],
        systems: tuple[PlannedSystem, ...],
    ):
        self._recipe = recipe
        self._specs = {spec.name: spec for spec in recipe.systems}
        self._forgers: dict[str, type[FaceForger]] = {
            system.name: FORGERS.get(system.use) for system in systems if split in system.splits
        }
        self._cast = Cast(photos, embeddings, recipe.seed)
        alike = recipe.lookalikes
        self._lookalikes = self._cast.lookalikes(alike.per_identity, alike.among)

    def items(self, photo: Photo) -> list[PlannedItem]:
        found = [_real(photo)]
        if photo.id in self._lookalikes:
            found.append(
                PlannedItem(
                    name=LOOKALIKE,
                    role="lookalike",
                    claimed=self._lookalikes[photo.id],
                    shows=photo.identity,
                )
            )
        offered = (self._forgery(photo, name) for name in self._forgers)
        forgeries = [item for item in offered if item is not None]
        count = self._recipe.forgeries_per_photo
        if count is not None:
            forgeries.sort(key=lambda item: self._drawn("chosen", photo, item.name))
        return found + forgeries[:count]

    def _forgery(self, photo: Photo, name: str) -> PlannedItem | None:
        """What a system makes of a photo, or None where nobody is there whom it could take."""
        forger, spec = self._forgers[name], self._specs[name]
        donors: list[Photo] = []
        if forger.donors == "other":
            donor = self._cast.other_donor(photo, name, self._recipe.among)
            donors = self._cast.more_of(donor, spec.donors) if donor else []
        elif forger.donors == "same":
            donors = self._cast.own_donors(photo, name, spec.donors)
        if forger.donors != "none" and not donors:
            return None
        prompt = ""
        if forger.reads_prompt and spec.prompts:
            prompt = spec.prompts[self._drawn("prompt", photo, name) % len(spec.prompts)]
        return PlannedItem(
            name=name,
            role=spec.role or _ROLES[forger.kind],
            claimed=self._claimed(photo, donors, spec),
            shows=_shows(photo, donors, forger),
            donors=tuple(donor.id for donor in donors),
            prompt=prompt,
        )

    def _claimed(self, photo: Photo, donors: list[Photo], spec: FaceSystemSpec) -> str:
        claims = spec.claims
        if claims == "either":
            claims = ("donor", "target")[self._drawn("claims", photo, spec.name) % 2]
        return donors[0].identity if donors and claims == "donor" else photo.identity

    def _drawn(self, what: str, photo: Photo, name: str) -> int:
        return item_seed(self._recipe.seed, what, photo.id, name)


def _shows(photo: Photo, donors: list[Photo], forger: type[FaceForger]) -> str:
    if donors:
        return donors[0].identity
    return NOBODY if forger.kind == "fullsynth" else photo.identity


def _road_versions(recipe: FaceRecipe) -> dict[str, str]:
    """What may change a pixel besides a forger; an upgrade is another plan."""
    packages = {"numpy": "numpy", "pillow": "pillow", "opencv": "opencv-python-headless"}
    return {
        "road": ROAD_VERSION,
        "framing": FRAMING_VERSION,
        "faces": open_faces(recipe.faces).fingerprint(),
        **{name: version(package) for name, package in packages.items()},
    }
