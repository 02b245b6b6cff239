"""The detection adapter: what the first layers of the vision encoder see, as further tokens.

The paper joins Proj(F_shallow) to the visual tokens and says no more. Layer, projection, pooling
and token count are ours: each patch goes through LN-Linear-GELU, because traces of editing have no
sign that a mean would keep, then runs of patches are averaged to a few tokens, and a Linear takes
those to the width of the language model.
"""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional as F


class AdapterConfig(BaseModel):
    """Attributes:
    layer: which layer of the vision encoder is listened to; 1 is the first.
    tokens: that are appended to each image's.
    hidden: width between the linear maps.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    layer: int = Field(default=2, ge=1)
    tokens: int = Field(default=8, ge=1, le=256)
    hidden: int = Field(default=512, ge=1, le=16384)


class DetectionAdapter(nn.Module):
    """Patches (m, w) of one image → tokens (k, d)."""

    def __init__(self, config: AdapterConfig, shallow: int, width: int):
        super().__init__()
        self.config = config
        self.seen = nn.Sequential(
            nn.LayerNorm(shallow), nn.Linear(shallow, config.hidden), nn.GELU()
        )
        self.told = nn.Linear(config.hidden, width)

    def forward(self, shallow: Tensor) -> Tensor:
        with torch.autocast(shallow.device.type, enabled=False):
            patches = self.seen(shallow.float())
            pooled = F.adaptive_avg_pool1d(patches.T[None], self.config.tokens)[0].T
            return self.told(pooled)
