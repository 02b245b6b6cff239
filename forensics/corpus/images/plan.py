"""The plan of an image corpus: which frames lie together, and which systems edit which."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cached_property
from importlib.metadata import version
from typing import Any

from forensics.corpus.images.frame import Frame
from forensics.corpus.images.recipe import ImageRecipe
from forensics.corpus.item import Source
from forensics.corpus.names import BONAFIDE, item_seed
from forensics.corpus.pictures.encoder import ROAD_VERSION
from forensics.corpus.plan import (
    Plan,
    PlannedShard,
    PlannedSource,
    assign_splits,
    resolve_systems,
    sliced,
)
from forensics.generators.image.base import EDITORS, ImageEditor
from forensics.requirements import lacking


class PlannedFrame(PlannedSource[Frame]):
    """A source frame with its split and who edits it.

    Attributes:
        camera: names the frames that planners and editors see beside it: a part of those of its
            camera and size, spread over their time.
        systems: names of the systems that edit it.
    """

    camera: str
    systems: tuple[str, ...]


class ImageShard(PlannedShard[PlannedFrame]):
    """One unit of work: frames of one domain and split with their edits."""

    frames: tuple[PlannedFrame, ...]

    @property
    def families(self) -> tuple[PlannedFrame, ...]:
        return self.frames


class ImagePlan(Plan[ImageRecipe, ImageShard, PlannedFrame]):
    """Every edit of every frame."""

    def members(self, planned: PlannedFrame) -> list[str]:
        return [BONAFIDE, *planned.systems]

    def frames_of(self, camera: str) -> list[PlannedFrame]:
        """In the order of their time, as far as names tell it."""
        return self._by_camera[camera]

    @cached_property
    def _by_camera(self) -> dict[str, list[PlannedFrame]]:
        cameras: dict[str, list[PlannedFrame]] = defaultdict(list)
        for shard in self.shards:
            for planned in shard.frames:
                cameras[planned.camera].append(planned)
        for frames in cameras.values():
            frames.sort(key=lambda planned: _in_time(planned.source))
        return dict(cameras)


def make_plan(recipe: ImageRecipe, source: Source[Frame]) -> ImagePlan:
    """Expand.

    Raises:
        UsageError: wrong parameters, or a source whose groups cross its own splits.
        MissingRequirement: the planner, grounder or realism filter lacks something.
    """
    for config in _models(recipe).values():
        for lack in lacking(config.requirements()):
            raise lack
    systems, missing = resolve_systems(recipe, EDITORS)
    splits = assign_splits(recipe, source.items)
    editors = {s.name: EDITORS.get(s.use)(**s.params) for s in systems}
    cameras = _cameras(source.items, recipe.frames.per_camera)
    beside: dict[str, int] = defaultdict(int)
    for name in cameras.values():
        beside[name] += 1
    frames = []
    for frame in source.items:
        split, camera = splits[frame.group], cameras.get(frame.id, frame.id)
        able = [
            system.name
            for system in systems
            if split in system.splits and _can(editors[system.name], recipe, beside[camera])
        ]
        frames.append(
            PlannedFrame(
                source=frame,
                split=split,
                licence=frame.licence or recipe.licence,
                camera=camera,
                systems=_chosen(recipe, frame, able),
            )
        )

    def order(planned: PlannedFrame) -> tuple[int, str, int, str]:
        """One that mixes cameras and yet leaves the frames of one together: they are decoded
        together."""
        camera, name = planned.camera, planned.source.id
        first = item_seed(recipe.seed, "order", camera)
        return first, camera, item_seed(recipe.seed, "order", name), name

    shards = tuple(
        ImageShard(name=name, split=split, domain=domain, frames=members)
        for name, split, domain, members in sliced(
            recipe.name, frames, recipe.frames_per_shard, order
        )
    )
    return ImagePlan(
        recipe=recipe,
        systems=systems,
        missing=missing,
        road=_road_versions(recipe),
        shards=shards,
    ).sealed()


def _can(editor: ImageEditor, recipe: ImageRecipe, frames: int) -> bool:
    """Whether an editor can edit a frame whose camera has so many in all."""
    if not set(editor.edits) & set(recipe.edits):
        return False
    return frames >= max(editor.least_frames, 2 if editor.needs_camera else 1)


def _chosen(recipe: ImageRecipe, frame: Frame, able: list[str]) -> tuple[str, ...]:
    count = recipe.edits_per_frame
    if count is None or count >= len(able):
        return tuple(able)
    drawn = sorted(able, key=lambda name: item_seed(recipe.seed, "chosen", frame.id, name))
    return tuple(sorted(drawn[:count], key=able.index))


def _cameras(frames: list[Frame], most: int) -> dict[str, str]:
    """Frame id → camera, for all that can be opened; large cameras are dealt into parts of about
    the same size, every part spread over the whole time."""
    views: dict[tuple[str, int, int], list[Frame]] = defaultdict(list)
    for frame in frames:
        if not frame.broken:
            views[frame.camera, frame.width, frame.height].append(frame)
    found = {}
    for (camera, width, height), members in views.items():
        members.sort(key=_in_time)
        parts = -(-len(members) // most)
        for number, frame in enumerate(members):
            found[frame.id] = f"{camera}/{width}x{height}/{number % parts}"
    return found


def _in_time(frame: Frame) -> tuple[list[tuple[int, str]], int, str]:
    """Numbers in names by value: frame 9 comes before frame 10."""
    parts = re.split(r"([0-9]+)", frame.path)
    return [(int(p), "") if p.isdecimal() else (-1, p) for p in parts], frame.index or 0, frame.id


def _models(recipe: ImageRecipe) -> dict[str, Any]:
    """What decides about edits besides the editors; each has requirements and a fingerprint."""
    named = {"planner": recipe.planner, "grounder": recipe.grounder, "realism": recipe.realism}
    return {name: config for name, config in named.items() if config is not None}


def _road_versions(recipe: ImageRecipe) -> dict[str, str]:
    """What may change a pixel besides an editor; an upgrade is another plan."""
    packages = {"numpy": "numpy", "pillow": "pillow", "opencv": "opencv-python-headless"}
    return {
        "road": ROAD_VERSION,
        **{name: config.fingerprint() for name, config in _models(recipe).items()},
        **{name: version(package) for name, package in packages.items()},
    }
