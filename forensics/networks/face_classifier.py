"""A small classifier of face crops: real or forged, and where in the crop.

Our own design. What most forgeries of faces leave is a face of another sharpness and noise than its
surroundings. So the logarithm of the energy of noise residuals is taken cell by cell, at two
scales, beside what of it the picture's content explains (brightness, gradients, contrast); and the
score compares the middle of the face, its rim and what lies around it. Crops are registered on the
face, so the places of these zones are known.
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
from forensics.networks.localiser.residuals import luma, srm_kernels

FINE = 4
"""Mask logits lie so many pixels of the crop apart."""
CELL = 8
_FLOOR = 0.05  # of a residual's energy, in half grey levels
_HALF_AXES = (0.36, 0.42)  # of the face in a crop, as shares of its side
_RIM = (0.6, 1.0)  # the rim of the face, in half axes


class FaceClassifierConfig(BaseModel):
    """What a classifier is built from.

    Attributes:
        backbone: `energy`, statistics of noise residuals that need no learning; or `encoder`, a
            face encoder's tokens.
        side: of the crops, pixels.
        margin: length of a crop over the longer side of the face's box.
        encoder: of `encoder`, what it is built from.
        encoder_weights: its folder, to begin with; None: random, or in a bundle.
        frozen: of `encoder`: only what comes after it is trained.
        channels: of what is learned on top.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: Literal["energy", "encoder"] = "energy"
    side: int = Field(default=144, ge=32, le=512, multiple_of=16)
    margin: float = Field(default=1.3, ge=1, le=4)
    encoder: FaceEncoderConfig | None = None
    encoder_weights: str | None = None
    frozen: bool = True
    channels: int = Field(default=32, ge=4)
    dropout: float = Field(default=0.3, ge=0, lt=1)

    @model_validator(mode="after")
    def _fits(self) -> FaceClassifierConfig:
        if self.encoder is not None and self.encoder.side != self.side:
            raise ValueError(f"the encoder takes crops of {self.encoder.side}, side is {self.side}")
        return self


@dataclass(frozen=True)
class Judged:
    """Mask logits (B, 1, side / 4, side / 4), > 0 = manipulated; scores (B,), higher = real."""

    logits: Tensor
    score: Tensor


class _Energies(nn.Module):
    """Pixels → what the luma's residuals and content are like in each cell of 8 x 8 pixels."""

    kernels: Tensor

    def __init__(self):
        super().__init__()
        self.register_buffer("kernels", srm_kernels() / 2, persistent=False)
        self.channels = 2 * len(self.kernels) + 4

    def forward(self, pixels: Tensor) -> Tensor:
        grey = luma(pixels)
        half, quarter = F.avg_pool2d(grey, 2), F.avg_pool2d(grey, 4)
        mean = F.avg_pool2d(grey, CELL)
        spread = (F.avg_pool2d(quarter.square(), 2) - F.avg_pool2d(quarter, 2).square()).clamp_min(
            0
        )
        across, down = (
            F.avg_pool2d((shifted - quarter).abs(), 2)
            for shifted in (
                torch.cat([quarter[..., 1:], quarter[..., -1:]], 3),
                torch.cat([quarter[..., 1:, :], quarter[..., -1:, :]], 2),
            )
        )
        content = [mean / 64, *((one + 0.5).log() for one in (across, down, spread))]
        return torch.cat([self._energy(grey, CELL), self._energy(half, CELL // 2), *content], 1)

    def _energy(self, grey: Tensor, cell: int) -> Tensor:
        residuals = F.conv2d(F.pad(grey, (2, 2, 2, 2), mode="replicate"), self.kernels)
        return (F.avg_pool2d(residuals.abs(), cell) + _FLOOR).log()


class _Tokens(nn.Module):
    """Pixels → features, one patch of the encoder apart."""

    def __init__(self, config: FaceClassifierConfig, encoder: FaceEncoder):
        super().__init__()
        self.encoder = encoder.requires_grad_(not config.frozen)
        self.encoder.pos_embed.requires_grad_(False)
        self.level = nn.Linear(encoder.config.width, config.channels)
        self.channels = config.channels
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
            self.features: _Energies | _Tokens = _Tokens(config, encoder)
        else:
            self.features = _Energies()
        self.config = config
        self.register_buffer("cut", torch.zeros(()))
        inner, width = self.features.channels, config.channels
        self.norm = nn.BatchNorm2d(inner)
        self.mixed = nn.Sequential(convolved(inner, width, size=1), Residual(width))
        self.mask = nn.Conv2d(width, 1, 1)
        seen = 3 * (inner + width)
        self.judged = nn.Sequential(
            nn.BatchNorm1d(seen), nn.Dropout(config.dropout), nn.Linear(seen, 32), nn.ReLU(),
            nn.Linear(32, 1),
        )  # fmt: skip

    def forward(self, pixels: Tensor) -> Judged:
        """
        Args:
            pixels: float32 RGB (B, 3, side, side) in [0, 255].
        """
        features = self.norm(self.features(pixels))
        mixed = self.mixed(features)
        weights = zones(features.shape[2]).to(features)
        middle, rim, around = torch.einsum("bchw,zhw->zbc", features, weights)
        learned = torch.einsum("bchw,zhw->bzc", mixed, weights).flatten(1)
        score = self.judged(torch.cat([middle - around, rim - around, middle, learned], 1))
        size = pixels.shape[2] // FINE, pixels.shape[3] // FINE
        logits = F.interpolate(self.mask(mixed), size, mode="bilinear")
        return Judged(logits, score.squeeze(1))

    def exported(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Architecture and weights, from which it is built without other files."""
        config = self.config.model_copy(update={"encoder_weights": None})
        return config.model_dump(mode="json"), self.state_dict()


def zones(grid: int) -> Tensor:
    """(3, grid, grid), each summing to 1: the middle of the face, its rim, what lies around it."""
    line = (torch.arange(grid) + 0.5) / grid - 0.5
    radius = ((line / _HALF_AXES[0]) ** 2 + (line[:, None] / _HALF_AXES[1]) ** 2).sqrt()
    inside, outside = radius < _RIM[0], radius >= _RIM[1]
    found = torch.stack([inside, ~inside & ~outside, outside]).float()
    return found / found.sum((1, 2), keepdim=True).clamp_min(1)
