"""What every recipe of pictures may set: when an edit passes, and how items are encoded."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from forensics.corpus.recipe import Strict

Format = Literal["jpeg", "png"]
Subsampling = Literal["4:4:4", "4:2:2", "4:2:0"]


def _positive(weights: dict[str, float]) -> dict[str, float]:
    if not weights or any(weight <= 0 for weight in weights.values()):
        raise ValueError("name at least one, with weights above 0")
    return weights


class CheckLimits(Strict):
    """Between these an edit passes; see `forensics.corpus.pictures.checks`.

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
