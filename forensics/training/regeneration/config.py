"""What shapes a regeneration detector: the YAML of `configs/` with `task: regeneration`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, NonNegativeInt, model_validator

from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.draws import Range, within


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Copies(_Strict):
    """What a training picture is looked at as, besides itself.

    Attributes:
        parts: of each picture, so many rectangles; `share` of each side.
        channels: so many copies that were cropped, sent through `augment` and saved as JPEG of
            `quality` (IJG scale, inclusive), blind to the label.
        cropped: pixels that a copy may lack at the top and on the left.
    """

    parts: int = Field(default=3, ge=0)
    share: Annotated[Range, within(0.2, 1.0)] = (0.5, 0.9)
    channels: int = Field(default=6, ge=0)
    cropped: int = Field(default=64, ge=0)
    augment: ImageConditionPolicy = ImageConditionPolicy()
    quality: tuple[int, int] = (60, 98)

    @model_validator(mode="after")
    def _qualities(self) -> Copies:
        if not 1 <= self.quality[0] <= self.quality[1] <= 100:
            raise ValueError("quality is a range within 1 to 100")
        return self


class RegenerationFitConfig(_Strict):
    """How the network is fitted to the statistics.

    Attributes:
        plain: share of a batch that is of pictures, or parts of them, as the corpus holds them;
            the rest is of copies that went through a channel.
        noise: added to standardised statistics.
    """

    steps: int = Field(default=2500, ge=1)
    batch: int = Field(default=64, ge=4, multiple_of=2)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    plain: float = Field(default=0.9, ge=0, le=1)
    noise: float = Field(default=0.1, ge=0)


class RegenerationTrainConfig(_Strict):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        architecture: fields of `RegenerationConfig`.
        leave_out: systems, or kinds of editors, that do not train; the report says how they fare.
        limits: what the detector is known not to do, in words that go with every verdict.
    """

    task: Literal["regeneration"] = "regeneration"
    architecture: dict[str, JsonValue] = {}
    seed: NonNegativeInt = 0
    leave_out: tuple[str, ...] = ()
    copies: Copies = Copies()
    fit: RegenerationFitConfig = RegenerationFitConfig()
    limits: str = ""
    licence: str = "Apache-2.0"
