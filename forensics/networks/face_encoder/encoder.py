"""The encoder: a plain ViT whose tensors are named as MAE's, so that published weights fit."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

Colour = tuple[float, float, float]


class FaceEncoderConfig(BaseModel):
    """What an encoder is built from.

    Attributes:
        side: of a crop, and patch: of a square of it that becomes a token, pixels.
        width, depth, heads: of the transformer.
        mean, std: of the colours in [0, 1] that crops are normalised by; of published weights those
            of their own data, not ImageNet's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: int = Field(default=224, ge=16, le=1024)
    patch: int = Field(default=16, ge=4, le=64)
    width: int = Field(default=768, ge=16, le=4096)
    depth: int = Field(default=12, ge=1, le=64)
    heads: int = Field(default=12, ge=1, le=64)
    mean: Colour = (0.5, 0.5, 0.5)
    std: Colour = (0.25, 0.25, 0.25)

    @model_validator(mode="after")
    def _divides(self) -> FaceEncoderConfig:
        if self.side % self.patch or self.width % self.heads or self.width % 4:
            raise ValueError("patch divides side; heads and 4 divide width")
        if min(self.std) <= 0:
            raise ValueError("std is positive")
        return self

    @property
    def grid(self) -> int:
        """Patches along a side."""
        return self.side // self.patch


def blocks(width: int, depth: int, heads: int) -> nn.ModuleList:
    """Transformer blocks with their norm before, four times as wide inside."""
    from timm.models.vision_transformer import Block

    norm: Any = partial(nn.LayerNorm, eps=1e-6)
    return nn.ModuleList(
        Block(width, heads, 4.0, qkv_bias=True, norm_layer=norm) for _ in range(depth)
    )


def positions(width: int, grid: int) -> Tensor:
    """Fixed sines and cosines (1, 1 + grid², width); the first, of the class token, is 0.

    Half of the width tells the column, half the row (He et al., "Masked Autoencoders Are Scalable
    Vision Learners", CVPR 2022).
    """
    quarter = width // 4
    rates = 1 / 10_000 ** (torch.arange(quarter, dtype=torch.float64) / quarter)
    along = torch.arange(grid, dtype=torch.float64)[:, None] * rates
    each = torch.cat([along.sin(), along.cos()], 1)  # (grid, width / 2)
    columns = each[None].expand(grid, -1, -1)
    rows = each[:, None].expand(-1, grid, -1)
    places = torch.cat([columns, rows], 2).reshape(grid * grid, width)
    return torch.cat([torch.zeros(1, width), places.float()])[None]


def initialised(module: nn.Module) -> None:
    """Linear layers as MAE begins with them."""
    for part in module.modules():
        if isinstance(part, nn.Linear):
            nn.init.xavier_uniform_(part.weight)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


class _Patches(nn.Module):
    def __init__(self, config: FaceEncoderConfig):
        super().__init__()
        self.proj = nn.Conv2d(3, config.width, config.patch, config.patch)
        nn.init.xavier_uniform_(self.proj.weight.view(config.width, -1))

    def forward(self, crops: Tensor) -> Tensor:
        return self.proj(crops).flatten(2).transpose(1, 2)


class FaceEncoder(nn.Module):
    """Crops → tokens."""

    mean: Tensor
    std: Tensor

    def __init__(self, config: FaceEncoderConfig):
        super().__init__()
        self.config = config
        self.patch_embed = _Patches(config)
        self.cls_token = nn.Parameter(torch.randn(1, 1, config.width) * 0.02)
        self.pos_embed = nn.Parameter(positions(config.width, config.grid), requires_grad=False)
        self.blocks = blocks(config.width, config.depth, config.heads)
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        initialised(self.blocks)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(config, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    def normalised(self, pixels: Tensor) -> Tensor:
        """RGB (B, 3, side, side) in [0, 255] → colours less their mean, over their spread."""
        return (pixels / 255 - self.mean) / self.std

    def forward(self, pixels: Tensor, kept: Tensor | None = None) -> Tensor:
        """
        Args:
            pixels: float RGB (B, 3, side, side) in [0, 255].
            kept: int64 (B, K), places of the patches that are seen; None: all.

        Returns:
            (B, 1 + K, width): the class token, then the patches in the order of `kept`.
        """
        tokens = self.patch_embed(self.normalised(pixels)) + self.pos_embed[:, 1:]
        if kept is not None:
            tokens = tokens.gather(1, kept.unsqueeze(-1).expand(-1, -1, tokens.shape[2]))
        first = (self.cls_token + self.pos_embed[:, :1]).expand(len(tokens), -1, -1)
        tokens = torch.cat([first, tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.norm(tokens)
