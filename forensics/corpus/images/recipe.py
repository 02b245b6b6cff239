"""The recipe of an image corpus."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import Field, model_validator

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.corpus.pictures.settings import CheckLimits, Encoder
from forensics.corpus.recipe import Recipe, Strict
from forensics.scenes.edit_plan import EditType
from forensics.scenes.grounding import GrounderConfig
from forensics.scenes.planners import PlannerConfig, RulesConfig
from forensics.scenes.realism import RealismConfig


class Frames(Strict):
    """What is taken of the source, and how.

    Attributes:
        max_side: frames whose longer side is above are made smaller, before anything else is done
            to them; None keeps every size.
        min_side: frames whose shorter side is below (after that) are not used.
        dedupe: of frames of one camera that show the same to the eye, keep the first.
        join_bits: cameras that share frames whose perceptual hashes differ in so many of 64 bits
            at most are one group, so that no split has another's background.
        per_camera: frames of its own camera, at most, that planners and editors get with a frame.
        per_video: frames taken of a video.
    """

    max_side: int | None = Field(default=1280, ge=64)
    min_side: int = Field(default=96, ge=16)
    dedupe: bool = True
    join_bits: int = Field(default=8, ge=0, le=20)
    per_camera: int = Field(default=12, ge=1, le=64)
    per_video: int = Field(default=12, ge=1)

    @model_validator(mode="after")
    def _check(self) -> Frames:
        if self.max_side is not None and self.min_side > self.max_side:
            raise ValueError("min_side is above max_side")
        return self


class ImageRecipe(Recipe):
    """An image corpus; every frame is edited by each of its systems that can.

    Attributes:
        planner: who decides what is edited.
        grounder: a detector that finds things by name; without one things are found by motion.
        realism: a model that says whether an edit would be believed; those that would not fail.
        edits: the types of edit to choose from.
        edits_per_frame: how many of the systems edit a frame, drawn; None: all that can.
        conditions: the channel, drawn per item from its seed.
    """

    modality: Literal["image"]  # pyright: ignore[reportIncompatibleVariableOverride]
    planner: PlannerConfig = RulesConfig()
    grounder: GrounderConfig | None = None
    realism: RealismConfig | None = None
    edits: tuple[EditType, ...] = Field(default=get_args(EditType), min_length=1)
    edits_per_frame: int | None = Field(default=None, ge=1)
    frames: Frames = Frames()
    checks: CheckLimits = CheckLimits()
    conditions: ImageConditionPolicy = ImageConditionPolicy()
    encoder: Encoder = Encoder()
    frames_per_shard: int = Field(default=16, ge=1)
