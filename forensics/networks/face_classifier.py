"""A small classifier of face crops: real or forged, and where in the crop.

Our own design. Each place of a crop is compared with the crop's other places, since what most
forgeries of faces leave is a face of another history than its surroundings; the score is of the
places that stand out most, and of the crop on the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.face_encoder.encoder import FaceEncoder, FaceEncoderConfig
from forensics.networks.localiser.blocks import Residual, convolved
from forensics.networks.localiser.residuals import Planes
from forensics.networks.localiser.trunk import TraceTrunk

FINE = 4
"""Mask logits lie so many pixels of the crop apart."""
_CELL = 8
_STRONGEST = (4, 16)


class FaceClassifierConfig(BaseModel):
    """What a classifier is built from.

    Attributes:
        backbone: `trace`, our residual network on noise residuals; or `encoder`, a face encoder's
            tokens.
        side: of the crops, pixels.
        margin: length of a crop over the longer side of the face's box.
        streams, widths: of `trace`, as for the localiser.
        encoder: of `encoder`, what it is built from.
        encoder_weights: its folder, to begin with; None: random, or in a bundle.
        frozen: of `encoder`: only what comes after it is trained.
        channels: of the features that are compared.
        relative: features less the crop's mean, over their spread; False: as they are.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: Literal["trace", "encoder"] = "trace"
    side: int = Field(default=128, ge=32, le=512, multiple_of=16)
    margin: float = Field(default=1.3, ge=1, le=4)
    streams: tuple[Literal["rgb", "srm", "bayar"], ...] = ("rgb", "srm", "bayar")
    widths: tuple[int, int, int, int] = (16, 24, 48, 64)
    encoder: FaceEncoderConfig | None = None
    encoder_weights: str | None = None
    frozen: bool = True
    channels: int = Field(default=48, ge=4)
    relative: bool = True
    dropout: float = Field(default=0.2, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> FaceClassifierConfig:
        if not self.streams:
            raise ValueError("streams must hold one of rgb, srm, bayar")
        if self.encoder is not None and self.encoder.side != self.side:
            raise ValueError(f"the encoder takes crops of {self.encoder.side}, side is {self.side}")
        return self


@dataclass(frozen=True)
class Judged:
    """Mask logits (B, 1, side / 4, side / 4), > 0 = manipulated; scores (B,), higher = real."""

    logits: Tensor
    score: Tensor


class _Traces(nn.Module):
    """Pixels → features, 8 pixels apart."""

    def __init__(self, config: FaceClassifierConfig):
        super().__init__()
        self.planes = Planes(config.streams)
        self.trunk = TraceTrunk(self.planes.channels, config.widths)
        self.levels = nn.ModuleList(nn.Conv2d(w, config.channels, 1) for w in config.widths)

    def forward(self, pixels: Tensor) -> Tensor:
        size = (pixels.shape[2] // _CELL, pixels.shape[3] // _CELL)
        maps = self.trunk(self.planes(pixels))
        return torch.stack(
            [
                F.adaptive_avg_pool2d(level(one), size)
                if one.shape[2] > size[0]
                else F.interpolate(level(one), size, mode="bilinear")
                for level, one in zip(self.levels, maps, strict=True)
            ]
        ).sum(0)


class _Tokens(nn.Module):
    """Pixels → features, one patch of the encoder apart."""

    def __init__(self, config: FaceClassifierConfig, encoder: FaceEncoder):
        super().__init__()
        self.encoder = encoder.requires_grad_(not config.frozen)
        self.encoder.pos_embed.requires_grad_(False)
        self.level = nn.Linear(encoder.config.width, config.channels)
        self.frozen = config.frozen

    def forward(self, pixels: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens = self.encoder(pixels)[:, 1:]
        grid = self.encoder.config.grid
        return self.level(tokens).transpose(1, 2).unflatten(2, (grid, grid))


class FaceClassifier(nn.Module):
    """Crops → a map and a score.

    Attributes:
        cut: of mask logits, found after training: where manipulated begins. 0 in training.

    Args:
        encoder: of the backbone `encoder`, with its weights; None: a new one.

    Raises:
        ValueError: the backbone is `encoder` and nothing says which.
    """

    cut: Tensor

    def __init__(self, config: FaceClassifierConfig, encoder: FaceEncoder | None = None):
        super().__init__()
        if config.backbone == "encoder":
            if encoder is None and config.encoder is None:
                raise ValueError("the backbone `encoder` needs `encoder` or `encoder_weights`")
            encoder = encoder or FaceEncoder(config.encoder or FaceEncoderConfig())
            config = config.model_copy(update={"encoder": encoder.config})
            self.features: nn.Module = _Tokens(config, encoder)
        else:
            self.features = _Traces(config)
        self.config = config
        self.register_buffer("cut", torch.zeros(()))
        width = config.channels
        self.norm = nn.BatchNorm2d(width)
        self.compared = convolved(width * (2 if config.relative else 1), width, size=1)
        self.context = nn.Sequential(Residual(width), Residual(width, dilation=2))
        self.mask = nn.Conv2d(width, 1, 1)
        evidence = len(_STRONGEST) + 1
        self.judged = nn.Sequential(
            nn.Linear(evidence + 3 * width, 32), nn.ReLU(), nn.Dropout(config.dropout),
            nn.Linear(32, 1),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Judged:
        """
        Args:
            pixels: float32 RGB (B, 3, side, side) in [0, 255].
        """
        features = self.norm(self.features(pixels))
        mean = features.mean((2, 3), keepdim=True)
        spread = (features.var((2, 3), keepdim=True, unbiased=False) + 1e-4).sqrt()
        if self.config.relative:
            apart = (features - mean) / spread
            features = torch.cat([apart, apart.abs()], 1)
        features = self.context(self.compared(features))
        logits = self.mask(features)
        size = pixels.shape[2] // FINE, pixels.shape[3] // FINE
        fine = F.interpolate(logits, size, mode="bilinear")
        cells = logits.flatten(1)
        strongest = [cells.topk(min(n, cells.shape[1]), 1).values.mean(1) for n in _STRONGEST]
        seen = torch.cat(
            [
                torch.stack([*strongest, cells.mean(1)], 1),
                features.mean((2, 3)),
                mean.flatten(1),
                spread.flatten(1),
            ],
            1,
        )
        return Judged(fine, self.judged(seen).squeeze(1))

    def project(self) -> None:
        """Restore what a step of the optimiser may have broken."""
        if isinstance(self.features, _Traces):
            self.features.planes.project()

    def exported(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Architecture and weights, from which it is built without other files."""
        config = self.config.model_copy(update={"encoder_weights": None})
        return config.model_dump(mode="json"), self.state_dict()
