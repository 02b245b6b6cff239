"""Networks that score speech from the outputs of all layers of a backbone."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Annotated, Any, Generic, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.backbone import Backbone
from forensics.networks.compact_backbone import CompactBackbone, CompactConfig
from forensics.networks.described import Described
from forensics.networks.explained import Explained
from forensics.networks.ssl_backbone import SslBackbone, SslConfig

BackboneConfig = Annotated[CompactConfig | SslConfig, Field(discriminator="kind")]


class LayeredConfig(BaseModel):
    """What every network on a backbone is built from.

    Attributes:
        output: "logits" for two classes, "cosine" for the one-class softmax: the score is then the
            cosine of the embedding and a learned direction, in [-1, 1].
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    backbone: BackboneConfig
    output: Literal["logits", "cosine"] = "logits"


C = TypeVar("C", bound=LayeredConfig)
H = TypeVar("H", bound=nn.Module)


class LayeredNetwork(nn.Module, ABC, Generic[C, H]):
    """float32 (B, T) samples → scores (B,), higher = bona fide. Subclasses name their head.

    Attributes:
        head: list of L tensors (B, T, C) → `Described`.
    """

    def __init__(self, config: C):
        super().__init__()
        self.config = config
        self.backbone = build_backbone(config.backbone)
        self.head = self.build_head(config)

    @abstractmethod
    def build_head(self, config: C) -> H:
        """The head on `self.backbone`."""

    def forward(self, samples: Tensor) -> Tensor:
        return self.describe(samples).score

    def describe(self, samples: Tensor, hide: Tensor | None = None) -> Described:
        """Scores, what the last layer sees, and in training the projection.

        Args:
            hide: a mask for the spectrogram of a compact backbone.
        """
        return self.head(self.backbone(samples, hide))

    def explain(self, samples: Tensor) -> Explained:
        """Which layers and steps moved the scores: |gradient x activation|, summed over channels.

        Gradient times input (Shrikumar et al. 2016, arXiv 1605.01713), on the layers' outputs.
        Heads with attention say what they attended to instead.
        """
        outputs = self.backbone(samples)
        with torch.inference_mode(False), torch.enable_grad():
            layers = [layer.detach().clone().requires_grad_() for layer in outputs]
            score = self.head(layers).score
            slopes = torch.autograd.grad(score.sum(), layers)
            moved = torch.stack(
                [(x * slope).sum(dim=2).abs() for x, slope in zip(layers, slopes, strict=True)], 1
            ).detach()
        return Explained(
            score=score.detach(),
            time=shares(moved.sum(dim=1)),
            layers=shares(moved.sum(dim=2)),
            attention=shares(moved),
        )

    def exported(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Architecture and weights for a bundle: adapters merged, no settings of training."""
        backbone, tensors = self.backbone.exported()
        config = self.config.model_copy(update={"backbone": backbone})
        state = {f"backbone.{name}": value for name, value in tensors.items()}
        state |= {f"head.{name}": value for name, value in self.head.state_dict().items()}
        return config.model_dump(mode="json"), state


class TwoLogits(nn.Module):
    """(B, E) → (B,): bona fide logit minus spoof logit. Class 0 is spoof, 1 bona fide."""

    def __init__(self, features: int):
        super().__init__()
        self.linear = nn.Linear(features, 2)

    def forward(self, embedding: Tensor) -> Tensor:
        spoof, bonafide = self.linear(embedding).unbind(dim=1)
        return bonafide - spoof


class Cosine(nn.Module):
    """(B, E) → (B,): cosine with the direction of bona fide (Zhang et al. 2021, see losses)."""

    def __init__(self, features: int):
        super().__init__()
        self.direction = nn.Parameter(torch.randn(features))

    def forward(self, embedding: Tensor) -> Tensor:
        return F.cosine_similarity(embedding, self.direction.unsqueeze(0), dim=1)


def build_backbone(config: CompactConfig | SslConfig) -> Backbone:
    return CompactBackbone(config) if isinstance(config, CompactConfig) else SslBackbone(config)


def build_output(kind: Literal["logits", "cosine"], features: int) -> nn.Module:
    return TwoLogits(features) if kind == "logits" else Cosine(features)


def shares(values: Tensor) -> Tensor:
    """Non-negative (..., N) → the same, each row summing to 1; rows of zeros become even."""
    total = values.sum(dim=-1, keepdim=True)
    even = torch.full_like(values, 1 / values.shape[-1])
    return torch.where(total > 0, values / total.clamp(min=torch.finfo(values.dtype).tiny), even)
