"""What shapes an inpainter's training: the YAML of `configs/` with `task: inpainter`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from forensics.draws import Range, within
from forensics.networks.inpainter import InpainterNetworkConfig
from forensics.training.stepping import StepConfig


class HoleConfig(BaseModel):
    """Holes that training cuts.

    Attributes:
        area: share of a crop.
        strokes: how often a hole is drawn by strokes of a brush; else it is a blob.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    area: Annotated[Range, within(0.01, 0.9)] = (0.08, 0.45)
    strokes: float = Field(default=0.3, ge=0, le=1)


class InpainterFitConfig(StepConfig):
    """How the network is trained.

    Attributes:
        batch: crops a step.
        steps: of training.
        reach: how large a crop is cut, in multiples of the network's side, before it is reduced to
            it; limited by the frame.
        known: weight of the loss outside of the hole, against 1 within.
    """

    batch: int = Field(default=16, ge=1)
    steps: int = Field(ge=1)
    reach: Annotated[Range, within(0.5, 16)] = (0.8, 3.0)
    holes: HoleConfig = HoleConfig()
    known: float = Field(default=0.1, ge=0, le=1)


class InpainterConfig(BaseModel):
    """Everything that shapes an inpainter's weights, but the frames.

    Attributes:
        held_out_tenths: scenes whose name's SHA-256, as a number modulo 10, is among the this many
            highest digits are never trained on.
        checkpoint_every: steps between checkpoints, each with a line of the log and a picture.
        sampling_steps: of DDIM, for pictures and figures.
        cache_mb: of decoded frames that stay in memory.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    task: Literal["inpainter"] = "inpainter"
    seed: NonNegativeInt = 0
    network: InpainterNetworkConfig = InpainterNetworkConfig()
    fit: InpainterFitConfig
    held_out_tenths: int = Field(default=3, ge=0, le=9)
    checkpoint_every: int = Field(default=200, ge=1)
    sampling_steps: int = Field(default=20, ge=1, le=1000)
    cache_mb: int = Field(default=512, ge=0)
    tensorboard: bool = False
