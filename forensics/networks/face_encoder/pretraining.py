"""Pretraining on real faces: fill in what is hidden, and know the whole face from what is left.

After FSFM (Wang et al., CVPR 2025). Three costs: of the pixels of all hidden patches, of those of
the region that is covered whole, and of the distance between what an online network says of the
masked face and what a slowly following target network says of the whole one.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.face_encoder.encoder import FaceEncoder, blocks, initialised, positions


class PretrainingConfig(BaseModel):
    """What is trained beside the encoder and left behind.

    Attributes:
        decoder_width, decoder_depth, decoder_heads: of the transformer that draws pixels.
        view_depth: of the transformer that tells faces apart; as wide as the encoder.
        projected, hidden: widths of projector and predictor.
        covered_weight, instance_weight: of the second and third cost.
        momentum: share of itself that the target keeps at a step, at first; at the end all of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    decoder_width: int = Field(default=512, ge=16, multiple_of=4)
    decoder_depth: int = Field(default=8, ge=1)
    decoder_heads: int = Field(default=16, ge=1)
    view_depth: int = Field(default=2, ge=1)
    projected: int = Field(default=256, ge=4)
    hidden: int = Field(default=4096, ge=4)
    covered_weight: float = Field(default=0.007, ge=0)
    instance_weight: float = Field(default=0.1, ge=0)
    momentum: float = Field(default=0.996, ge=0, le=1)


@dataclass(frozen=True)
class Costs:
    """Means over a batch; `total` is their weighted sum."""

    total: Tensor
    pixels: Tensor
    covered: Tensor
    instance: Tensor


class _Decoder(nn.Module):
    """Tokens of what is seen, in any order → tokens of all patches, in their places.

    `width` is that of the mask token and of what comes in; `inner` is the transformer's own.
    """

    def __init__(self, width: int, inner: int, depth: int, heads: int, outer: int, grid: int):
        super().__init__()
        self.mask_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.embed = nn.Linear(width, inner)
        self.places = nn.Parameter(positions(inner, grid), requires_grad=False)
        self.blocks = blocks(inner, depth, heads)
        self.norm = nn.LayerNorm(inner, eps=1e-6)
        self.out = nn.Linear(inner, outer)
        initialised(self)

    def forward(self, tokens: Tensor, kept: Tensor | None) -> Tensor:
        if kept is not None:
            count = self.places.shape[1] - 1
            whole = self.mask_token.expand(len(tokens), count, -1).to(tokens.dtype)
            where = kept.unsqueeze(-1).expand(-1, -1, tokens.shape[2])
            tokens = torch.cat([tokens[:, :1], whole.scatter(1, where, tokens[:, 1:])], 1)
        tokens = self.embed(tokens) + self.places
        for block in self.blocks:
            tokens = block(tokens)
        return self.out(self.norm(tokens))


def _head(inner: int, hidden: int, outer: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inner, hidden), nn.LayerNorm(hidden), nn.ReLU(), nn.Linear(hidden, outer)
    )


class _View(nn.Module):
    """Crops → one vector each: encoder, a light transformer, the mean of its tokens, projector."""

    def __init__(self, encoder: FaceEncoder, config: PretrainingConfig):
        super().__init__()
        own = encoder.config
        self.encoder = encoder
        self.decoder = _Decoder(
            own.width, own.width, config.view_depth, own.heads, own.width, own.grid
        )
        self.projector = _head(own.width, config.hidden, config.projected)

    def forward(self, tokens: Tensor, kept: Tensor | None) -> Tensor:
        return self.projector(self.decoder(tokens, kept).mean(1))


class FacePretrainer(nn.Module):
    """The encoder with everything that teaches it.

    The target is no part of what the optimiser moves: `follow` moves it after each step.
    """

    def __init__(self, encoder: FaceEncoder, config: PretrainingConfig):
        super().__init__()
        own = encoder.config
        self.config = config
        self.view = _View(encoder, config)
        self.predictor = _head(config.projected, config.hidden, config.projected)
        self.decoder = _Decoder(
            own.width,
            config.decoder_width,
            config.decoder_depth,
            config.decoder_heads,
            own.patch**2 * 3,
            own.grid,
        )
        self.target = copy.deepcopy(self.view).requires_grad_(False)

    @property
    def encoder(self) -> FaceEncoder:
        return self.view.encoder

    def forward(self, pixels: Tensor, hidden: Tensor, covered: Tensor) -> Costs:
        """
        Args:
            pixels: float RGB (B, 3, side, side) in [0, 255].
            hidden, covered: bool (B, N), as `masking.masked` draws them; each row of `hidden` holds
                the same number.
        """
        kept = torch.nonzero(~hidden)[:, 1].view(len(hidden), -1)
        tokens = self.encoder(pixels, kept)
        drawn = self.decoder(tokens, kept)[:, 1:]
        wanted = patches(self.encoder.normalised(pixels), self.encoder.config.patch)
        all_hidden, whole = pixel_costs(drawn, wanted, hidden, covered)
        with torch.no_grad():
            target = self.target(self.target.encoder(pixels), None)
        said = self.predictor(self.view(tokens, kept))
        instance = -F.cosine_similarity(said, target, dim=1).mean()
        total = all_hidden + self.config.covered_weight * whole
        return Costs(total + self.config.instance_weight * instance, all_hidden, whole, instance)

    @torch.no_grad()
    def follow(self, done: float) -> None:
        """Move the target towards the online network.

        Args:
            done: share of the training, in [0, 1]; the target keeps `momentum` of itself at 0 and
                all at 1, along a cosine.
        """
        start = self.config.momentum
        kept = 1 - (1 - start) * (1 + torch.cos(torch.tensor(done * torch.pi)).item()) / 2
        for slow, quick in zip(self.target.parameters(), self.view.parameters(), strict=True):
            slow.lerp_(quick, 1 - kept)


def patches(pixels: Tensor, patch: int) -> Tensor:
    """(B, 3, H, W) → (B, N, patch² * 3), patches by rows, the colours of a pixel together."""
    cells = F.unfold(pixels, patch, stride=patch)  # (B, 3 * patch², N)
    batch, _, count = cells.shape
    return cells.view(batch, 3, patch**2, count).permute(0, 3, 2, 1).flatten(2)


def pixel_costs(
    drawn: Tensor, wanted: Tensor, hidden: Tensor, covered: Tensor
) -> tuple[Tensor, Tensor]:
    """Mean squared error over hidden patches, and over covered ones, each patch normalised first.

    Args:
        drawn, wanted: (B, N, P); hidden, covered: bool (B, N).
    """
    mean, variance = wanted.mean(2, keepdim=True), wanted.var(2, keepdim=True)
    error = (drawn - (wanted - mean) / (variance + 1e-6).sqrt()).square().mean(2)
    return tuple((error * one).sum() / one.sum().clamp_min(1) for one in (hidden, covered))  # pyright: ignore
