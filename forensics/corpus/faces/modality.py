"""Faces, for the machinery of `forensics.corpus`."""

from __future__ import annotations

import os
from pathlib import Path

from forensics.corpus.faces.consent import NOT_STATED
from forensics.corpus.faces.plan import FacePlan, PlannedPhoto, make_plan
from forensics.corpus.faces.recipe import FaceRecipe
from forensics.corpus.faces.shard_job import FaceShardRun
from forensics.corpus.faces.source import FaceSource, load_source
from forensics.corpus.modality import Modality
from forensics.corpus.pictures.encoder import estimated_bytes

_FEW_PEOPLE = 10


class FaceModality(Modality):
    """Photos of people; amounts come from the boxes of their faces."""

    recipe = FaceRecipe
    plan = FacePlan
    shard_run = FaceShardRun
    example = "identity"
    unit = "megapixels"

    def load_source(
        self, path: str | os.PathLike[str], where: dict[str, str] | None, recipe: FaceRecipe
    ) -> FaceSource:
        return load_source(path, where, recipe.photos, recipe.faces)

    def make_plan(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, recipe: FaceRecipe, folder: Path, source: FaceSource
    ) -> FacePlan:
        return make_plan(recipe, source)

    def amount(self, plan: FacePlan, planned: PlannedPhoto) -> float:
        photo = planned.source
        if photo.face is None:
            return 0.0
        left, top, right, bottom = photo.face.box
        framing = plan.recipe.framing
        margins = sum(framing.margin) * max(right - left, bottom - top)
        scale = (framing.scale[0] * framing.scale[1]) ** 0.5
        width = min(photo.width, right - left + margins) * scale
        return width * min(photo.height, bottom - top + margins) * scale / 1e6

    def bytes(self, plan: FacePlan, amount: float, items: int) -> int:
        return estimated_bytes(plan.recipe.encoder, amount, items)

    def warnings(self, plan: FacePlan) -> list[str]:
        found = []
        photos = list(plan.all_photos)
        usable = [planned for planned in photos if not planned.source.broken]
        people = {planned.source.identity for planned in usable}
        if len(people) < _FEW_PEOPLE:
            found.append(
                f"only {len(people)} people: splits and the audit are weak below {_FEW_PEOPLE}"
            )
        enrolled = {planned.source.identity for planned in usable if planned.use == "enrol"}
        if plan.recipe.enrol and len(enrolled) < len(people):
            found.append(
                f"{len(people - enrolled)} of {len(people)} people have fewer than "
                f"{plan.recipe.enrol + 2} photos: none of theirs are set apart for enrolment"
            )
        untold = sum(1 for planned in usable if planned.source.consent == NOT_STATED)
        if untold:
            found.append(
                f"{untold} of {len(usable)} photos state no consent: see to it that you may use "
                "them; faces are biometric data"
            )
        alone = sum(
            1 for planned in usable if planned.use == "probe" and _lacks_systems(plan, planned)
        )
        if alone:
            found.append(
                f"{alone} photos have nobody of their split to swap faces with (colour with "
                "colour, grey with grey), or no other photo of their person: some systems leave "
                "them out"
            )
        broken = [planned.source for planned in photos if planned.source.broken]
        if broken:
            found.append(f"{len(broken)} photos cannot be used, e.g. {broken[0].path}")
        return found


def _lacks_systems(plan: FacePlan, planned: PlannedPhoto) -> bool:
    count = len(plan.systems_of(planned.split))
    most = plan.recipe.forgeries_per_photo
    forged = sum(1 for item in planned.items if item.role not in ("real", "lookalike"))
    return forged < (count if most is None else min(count, most))


MODALITY = FaceModality()
