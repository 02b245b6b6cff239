"""The localiser: picture and quantisation table → mask logits and one raw score.

A picture is encoded, compared with itself, decoded and judged. These are four methods, because a
large picture goes through the first and third in tiles, while the others need all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.folding import fold_batch_norms
from forensics.networks.localiser.blocks import Residual, convolved
from forensics.networks.localiser.jpeg_stream import JpegStream
from forensics.networks.localiser.relative import Spread, robust_spread
from forensics.networks.localiser.residuals import Planes
from forensics.networks.localiser.traces import Traces
from forensics.networks.localiser.trunk import OURS, build_trunk

GRID, CELL, FINE = 32, 8, 4
"""Sides of pictures are multiples of GRID; features lie CELL pixels apart, mask logits FINE."""

Stream = Literal["rgb", "srm", "bayar", "dct", "traces"]
_FINE_CHANNELS = 16
_TOP_CELLS, _TOP_SHARES = (4, 16, 64), (0.01, 0.1)


class LocaliserConfig(BaseModel):
    """What a localiser is built from.

    Attributes:
        backbone: `trace` for our own trunk, else a name of timm's.
        pretrained: weights of a timm backbone: published ones (true), or a .safetensors file.
        widths: of our trunk at 1/2, 1/4, 1/8 and 1/16 of the size.
        streams: what is looked at: the colours, residuals of fixed and of learned filters, which
            go through the trunk; DCT coefficients on the JPEG grid; statistics of cells that need
            no learning. Without the first three there is no trunk.
        channels: of the features that the mask is decoded from.
        dilations: of the blocks between the comparison and the mask.
        relative: features less the picture's own mean; False: as they are.
        overall: the score also sees the picture's mean features, which an edit that made every
            pixel anew changes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: str = OURS
    pretrained: bool | str = False
    widths: tuple[int, int, int, int] = (16, 32, 48, 64)
    streams: tuple[Stream, ...] = ("srm", "bayar", "dct")
    channels: int = Field(default=48, ge=4)
    dilations: tuple[int, ...] = (1, 2)
    relative: bool = True
    overall: bool = True
    dropout: float = Field(default=0.1, ge=0, lt=1)

    @model_validator(mode="after")
    def _sees_pixels(self) -> LocaliserConfig:
        if not self.through_trunk and "traces" not in self.streams:
            raise ValueError("streams must hold one of rgb, srm, bayar, traces")
        return self

    @property
    def through_trunk(self) -> bool:
        return bool(set(self.streams) & {"rgb", "srm", "bayar"})


@dataclass(frozen=True)
class Encoded:
    """Features (B, C, H / 8, W / 8) of a picture or a tile, and finer ones (B, F, H / 4, W / 4),
    which only a trunk gives."""

    features: Tensor
    fine: Tensor | None


@dataclass(frozen=True)
class Decoded:
    """Mask logits (B, 1, H / 4, W / 4), and what they were made of, (B, C, H / 8, W / 8)."""

    logits: Tensor
    features: Tensor


@dataclass(frozen=True)
class Localised:
    """Mask logits (B, 1, H / 4, W / 4), > 0 = manipulated; raw scores (B,), higher = bona fide."""

    logits: Tensor
    score: Tensor


class Localiser(nn.Module):
    """Streams, a trunk, a comparison of the picture with itself, a light decoder, a judge.

    Attributes:
        cut: of mask logits, found after training: where manipulated begins. 0 in training.
    """

    cut: Tensor

    def __init__(self, config: LocaliserConfig):
        super().__init__()
        self.config = config
        width = config.channels
        self.looked = _Trunk(config) if config.through_trunk else None
        self.jpeg = JpegStream(width) if "dct" in config.streams else None
        self.norm = nn.BatchNorm2d(width) if self.looked or self.jpeg else None
        self.traces = Traces() if "traces" in config.streams else None
        traced = self.traces.channels if self.traces else 0
        features = traced + (width if self.norm else 0)
        self.dropped = nn.Dropout2d(config.dropout if traced else 0.0)
        inputs = features * (2 if config.relative else 1) + (traced if config.relative else 0)
        self.compared = convolved(inputs, width, size=1)
        self.context = nn.Sequential(*(Residual(width, size) for size in config.dilations))
        fine = _FINE_CHANNELS if self.looked else 0
        self.mask = nn.Sequential(convolved(width + fine, 24), nn.Conv2d(24, 1, 1))
        self.register_buffer("cut", torch.zeros(()))
        evidence = len(_TOP_CELLS) + len(_TOP_SHARES) + 1
        self.straight = nn.Linear(evidence, 1)
        inputs = evidence + width + (2 * features if config.overall else 0)
        self.judged = nn.Sequential(
            nn.Linear(inputs, 32), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(32, 1)
        )

    def forward(self, pixels: Tensor, tables: Tensor) -> Localised:
        """
        Args:
            pixels: float32 RGB (B, 3, H, W) in [0, 255], as stored; H and W multiples of 32.
            tables: (B, 8, 8), the luma quantisation table in natural order; zeros: not known.
        """
        encoded = self.encode(pixels, tables)
        spread = self.compare([encoded.features])
        decoded = self.decode(encoded, spread)
        return Localised(decoded.logits, self.judge(decoded.logits, Pooled.of(decoded), spread))

    def encode(self, pixels: Tensor, tables: Tensor) -> Encoded:
        """Local features, which no place further away than some 150 pixels has a part in."""
        height, width = pixels.shape[2] // CELL, pixels.shape[3] // CELL
        learned, fine = [], None
        if self.looked is not None:
            levels, fine = self.looked(pixels, (height, width))
            learned.append(levels)
        if self.jpeg is not None:
            learned.append(self.jpeg(pixels, tables))
        features = [] if self.norm is None else [self.norm(torch.stack(learned).sum(0))]
        if self.traces is not None:
            features.append(self.traces(pixels, tables))
        return Encoded(torch.cat(features, 1), fine)

    def compare(self, parts: list[Tensor]) -> Spread:
        """What a picture's features, (B, C, h, w) in one part or several, are like on the whole."""
        return robust_spread(parts)

    def decode(self, encoded: Encoded, spread: Spread) -> Decoded:
        features = encoded.features
        if self.config.relative:
            apart = spread.relative(features)
            parts = [apart, apart.abs()]
            if self.traces is not None:
                parts.append(features[:, -self.traces.channels :])
            features = torch.cat(parts, 1)
        features = self.context(self.compared(self.dropped(features)))
        enlarged = F.interpolate(features, scale_factor=2.0, mode="bilinear")
        if encoded.fine is not None:
            enlarged = torch.cat([enlarged, encoded.fine], 1)
        return Decoded(self.mask(enlarged), features)

    def judge(self, logits: Tensor, pooled: Pooled, spread: Spread) -> Tensor:
        """All mask logits of a picture (B, 1, H / 4, W / 4) and more → raw scores (B,)."""
        evidence = _strongest(F.avg_pool2d(logits, 2).flatten(1))
        seen = [evidence, pooled.mean]
        if self.config.overall:
            seen += [spread.mean.flatten(1), spread.deviation.flatten(1)]
        return (self.judged(torch.cat(seen, 1)) - self.straight(evidence)).squeeze(1)

    def project(self) -> None:
        """Restore what a step of the optimiser may have broken."""
        if self.looked is not None:
            self.looked.planes.project()

    def quicken(self) -> None:
        """Fold batch norms, for good: what comes after only judges, in evaluation mode."""
        place = next(self.parameters())
        pixels, tables = place.new_full((1, 3, 64, 64), 128.0), place.new_ones(1, 8, 8)
        pixels[..., ::3, ::5] = 90.0
        # TF32 would move outputs by more than folding does.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            fold_batch_norms(self, lambda: self(pixels, tables).logits)

    def exported(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Architecture and weights, from which it is built without other files."""
        config = self.config.model_copy(update={"pretrained": False})
        return config.model_dump(mode="json"), self.state_dict()


class _Trunk(nn.Module):
    """Pixels → the features of all levels of a trunk, added up, and fine ones."""

    def __init__(self, config: LocaliserConfig):
        super().__init__()
        width = config.channels
        self.planes = Planes(config.streams)
        self.trunk = build_trunk(
            self.planes.channels, config.backbone, config.widths, config.pretrained
        )
        self.levels = nn.ModuleList(nn.Conv2d(inner, width, 1) for inner in self.trunk.widths)
        self._finest = _nearest(self.trunk.reductions, FINE)
        self.fine = convolved(self.trunk.widths[self._finest], _FINE_CHANNELS, size=1)

    def forward(self, pixels: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        maps = self.trunk(self.planes(pixels))
        levels = [_levelled(level, one, size) for level, one in zip(self.levels, maps, strict=True)]
        fine = _resized(self.fine(maps[self._finest]), (size[0] * 2, size[1] * 2))
        return torch.stack(levels).sum(0), fine


@dataclass(frozen=True)
class Pooled:
    """Decoded features, summed with weights that grow with the evidence for an edit.

    Attributes:
        weighted: (B, C), weights: (B, 1); sums over places, so that parts can be added.
    """

    weighted: Tensor
    weights: Tensor

    @classmethod
    def of(cls, decoded: Decoded) -> Pooled:
        weights = F.avg_pool2d(decoded.logits, 2).clamp(-12, 12).exp()
        weighted = (decoded.features * weights).sum((2, 3))
        return cls(weighted, weights.sum((2, 3)))

    def __add__(self, other: Pooled) -> Pooled:
        return Pooled(self.weighted + other.weighted, self.weights + other.weights)

    @property
    def mean(self) -> Tensor:
        return self.weighted / self.weights


def _strongest(cells: Tensor) -> Tensor:
    """Logits of cells (B, N) → means of the strongest few, of the strongest shares, and of all."""
    count = cells.shape[1]
    sizes = [min(size, count) for size in _TOP_CELLS]
    sizes += [max(1, round(share * count)) for share in _TOP_SHARES]
    ordered = cells.topk(max(sizes), dim=1).values
    means = [ordered[:, :size].mean(1) for size in sizes]
    return torch.stack([*means, cells.mean(1)], 1)


def _nearest(reductions: tuple[int, ...], wanted: int) -> int:
    return min(range(len(reductions)), key=lambda number: abs(reductions[number] - wanted))


def _levelled(level: nn.Module, maps: Tensor, size: tuple[int, int]) -> Tensor:
    """A map through its 1x1 convolution to a size; the convolution where there is less to do."""
    if maps.shape[2] > size[0]:
        return level(_resized(maps, size))
    return _resized(level(maps), size)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    if maps.shape[2] > size[0]:
        return F.avg_pool2d(maps, maps.shape[2] // size[0])
    if maps.shape[2] < size[0]:
        return F.interpolate(maps, size=size, mode="bilinear")
    return maps
