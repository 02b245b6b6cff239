"""SLS: sensitive layer selection (Zhang, Wen & Hu, ACM Multimedia 2024), on any backbone.

Each layer is gated by a sigmoid of its mean; the gated sum is one image, time by channels, which
is pooled 3x3 and flattened. The backbone runs once.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.errors import UsageError
from forensics.networks.described import Described
from forensics.networks.layered import LayeredConfig, LayeredNetwork, build_output


class SlsConfig(LayeredConfig):
    """Sizes; the defaults are those published.

    Attributes:
        window_samples: the only length that the flattened image fits.
        hidden: units of the layer after flattening.
    """

    window_samples: int = Field(default=64_600, ge=4_000)
    hidden: int = Field(default=1024, ge=1)


class SlsHead(nn.Module):
    """L layer outputs (B, T, C) → scores; 23 399 429 parameters for C = 1024 and T = 201."""

    def __init__(self, channels: int, steps: int, config: SlsConfig):
        super().__init__()
        self.steps = steps
        self.gate = nn.Linear(channels, 1)
        self.norm = nn.BatchNorm2d(1)
        self.flat = nn.Linear((steps // 3) * (channels // 3), config.hidden)
        self.two_classes = config.output == "logits"
        self.output = (
            nn.Linear(config.hidden, 2)
            if self.two_classes
            else build_output(config.output, config.hidden)
        )

    def forward(self, layers: list[Tensor]) -> Described:
        if layers[0].shape[1] != self.steps:
            raise UsageError(
                f"this SLS was built for windows of {self.steps} steps, not {layers[0].shape[1]}",
                "set architecture.window_samples, window_samples and fit.window_samples alike",
            )
        summed = torch.zeros_like(layers[0])
        for layer in layers:
            gate = torch.sigmoid(self.gate(layer.mean(dim=1)))
            summed = summed + gate.unsqueeze(1) * layer
        image = F.max_pool2d(F.selu(self.norm(summed.unsqueeze(1))), 3)
        embedding = F.selu(self.flat(image.flatten(1)))
        out = self.output(embedding)
        if self.two_classes:  # the published network squashes its logits too
            spoof, bonafide = F.selu(out).unbind(dim=1)
            out = bonafide - spoof
        return Described(out, embedding)


class Sls(LayeredNetwork[SlsConfig, SlsHead]):
    """float32 (B, window_samples) → scores (B,), higher = bona fide."""

    def build_head(self, config: SlsConfig) -> SlsHead:
        steps = self.backbone.steps(config.window_samples)
        return SlsHead(self.backbone.channels, steps, config)
