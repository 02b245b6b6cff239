"""What is to be changed in a frame: the plan that a planner makes and an editor carries out."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

EditType = Literal["removal", "targeted-replacement", "open-ended-replacement", "addition"]


class EditPlan(BaseModel):
    """One edit of one frame; the four types of SurFITR (arXiv 2604.07101).

    Attributes:
        edit: what is done: an object goes, is replaced by a named thing, is replaced by whatever
            fits, or something is added where nothing was.
        target: what is there now, in a word or two ("person", "car", "moving object"); for an
            addition the surface that it is added to.
        replacement: what shall be there; empty for a removal.
        instruction: one sentence for an editor that reads.
        box: (left, top, right, bottom) in pixels, right and bottom exclusive.
        planner: who made the plan.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    edit: EditType
    target: str = Field(min_length=1, max_length=80)
    replacement: str = Field(default="", max_length=80)
    instruction: str = Field(min_length=1, max_length=400)
    box: tuple[int, int, int, int]
    planner: str

    @model_validator(mode="after")
    def _check(self) -> EditPlan:
        left, top, right, bottom = self.box
        if not (0 <= left < right and 0 <= top < bottom):
            raise ValueError(f"box {self.box} is empty or lies outside of the frame")
        if (self.edit == "removal") == bool(self.replacement):
            raise ValueError("a removal has no replacement, every other edit has one")
        return self
