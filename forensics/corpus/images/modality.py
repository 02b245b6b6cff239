"""Images, for the machinery of `forensics.corpus`."""

from __future__ import annotations

import os
from pathlib import Path

from forensics.corpus.images.frame import Frame
from forensics.corpus.images.plan import ImagePlan, PlannedFrame, make_plan
from forensics.corpus.images.recipe import ImageRecipe
from forensics.corpus.images.shard_job import ImageShardRun
from forensics.corpus.images.source import load_source
from forensics.corpus.item import Source
from forensics.corpus.modality import Modality
from forensics.corpus.pictures.encoder import estimated_bytes

_FEW_GROUPS = 10


class ImageModality(Modality):
    """Frames; every amount comes from their sizes."""

    recipe = ImageRecipe
    plan = ImagePlan
    shard_run = ImageShardRun
    example = "surfitr"
    unit = "megapixels"

    def load_source(
        self, path: str | os.PathLike[str], where: dict[str, str] | None, recipe: ImageRecipe
    ) -> Source[Frame]:
        return load_source(path, where, recipe.frames)

    def make_plan(self, recipe: ImageRecipe, folder: Path, source: Source[Frame]) -> ImagePlan:
        return make_plan(recipe, source)

    def amount(self, plan: ImagePlan, planned: PlannedFrame) -> float:
        return planned.source.width * planned.source.height / 1e6

    def bytes(self, plan: ImagePlan, amount: float, items: int) -> int:
        return estimated_bytes(plan.recipe.encoder, amount, items)

    def warnings(self, plan: ImagePlan) -> list[str]:
        found = []
        frames = [planned for shard in plan.shards for planned in shard.frames]
        groups = {planned.source.group for planned in frames}
        if len(groups) < _FEW_GROUPS:
            found.append(
                f"only {len(groups)} groups (cameras): splits and the audit are weak below "
                f"{_FEW_GROUPS}"
            )
        alone = sum(1 for p in frames if not p.source.broken and len(plan.frames_of(p.camera)) < 3)
        if alone:
            found.append(
                f"{alone} of {len(frames)} frames have fewer than two others of their camera and "
                "size: no background is known there, and systems that need one leave them out"
            )
        idle = sum(1 for planned in frames if not planned.systems)
        if idle:
            found.append(f"{idle} frames are edited by no system: bona fide items only")
        broken = [planned.source for planned in frames if planned.source.broken]
        if broken:
            found.append(f"{len(broken)} images cannot be used, e.g. {broken[0].path}")
        return found


MODALITY = ImageModality()
