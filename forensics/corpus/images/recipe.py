"""The recipe of an image corpus."""

from __future__ import annotations

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.corpus.recipe import Recipe, Strict
from forensics.scenes.edit_plan import EditType
from forensics.scenes.grounding import GrounderConfig
from forensics.scenes.planners import PlannerConfig, RulesConfig
from forensics.scenes.realism import RealismConfig

Format = Literal["jpeg", "png"]
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]


def _positive(weights: dict[str, float]) -> dict[str, float]:
    if not weights or any(weight <= 0 for weight in weights.values()):
        raise ValueError("name at least one, with weights above 0")
    return weights


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


class CheckLimits(Strict):
    """Between these an edit passes; see `forensics.corpus.images.checks`.

    Attributes:
        area: smallest and largest share of the frame that the mask may cover.
        changed: least share of the mask's pixels that must differ from the pristine frame.
        difference: least mean absolute difference in the mask, in grey levels (0–255).
        exposure: grey levels by which the region's mean may lie beyond the 1st to 99th percentile
            of what surrounds it.
        seam: how many times steeper the mask's border may be than what lies beside it.
        psnr_db: least PSNR outside of the mask, where the whole frame was regenerated.
    """

    area: tuple[float, float] = (0.0003, 0.4)
    changed: float = Field(default=0.1, ge=0, le=1)
    difference: float = Field(default=1.0, ge=0)
    exposure: float = Field(default=48.0, ge=0)
    seam: float = Field(default=5.0, gt=1)
    psnr_db: float = Field(default=20.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> CheckLimits:
        if not 0 <= self.area[0] < self.area[1] <= 1:
            raise ValueError("area is [least, most], shares of the frame")
        return self


class Encoder(Strict):
    """The last thing that happens to every item, whatever its label; drawn per item.

    Attributes:
        formats: weights of the formats.
        quality: of JPEGs, on the IJG scale; drawn uniformly, both ends included.
        subsampling: weights of the chroma subsampling of JPEGs.
    """

    formats: Annotated[dict[Format, float], AfterValidator(_positive)] = {"jpeg": 0.9, "png": 0.1}
    quality: tuple[int, int] = (60, 95)
    subsampling: Annotated[dict[Subsampling, float], AfterValidator(_positive)] = {
        "4:2:0": 0.7,
        "4:4:4": 0.2,
        "4:2:2": 0.1,
    }

    @model_validator(mode="after")
    def _check(self) -> Encoder:
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality is [low, high], within 1 to 100")
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
