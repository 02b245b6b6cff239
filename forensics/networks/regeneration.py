"""Was the whole picture made anew? Statistics of its cells → one raw score.

A decoder that drew every pixel leaves no place that stands out, so nothing is compared with the
rest of the picture here: traces are taken as they are, averaged over it.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from forensics.networks.localiser.traces import CELL, Traces

_TABLE = 20  # entries of the quantisation table, by rows, that tell its quality
_FURTHEST = 5.0  # standard deviations
WINDOW, WINDOWS = 768, 3
"""A larger picture is looked at in at most WINDOWS x WINDOWS windows of so many pixels a side,
evenly spread: what every pixel went through shows in a part of them."""


Share = Annotated[float, Field(ge=0, lt=1)]


class RegenerationConfig(BaseModel):
    """Sizes of the network.

    Attributes:
        hidden: units between statistics and score.
        dropout: of statistics, and of hidden units.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    hidden: int = Field(default=64, ge=1, le=4096)
    dropout: tuple[Share, Share] = (0.2, 0.4)


class Regeneration(nn.Module):
    """Float32 statistics (B, F) → raw scores (B,), higher = not made anew.

    Attributes:
        centre, scale: (F,), of the statistics of training pictures.
    """

    centre: Tensor
    scale: Tensor

    def __init__(self, config: RegenerationConfig):
        super().__init__()
        self.config = config
        self.traces = Traces()
        count = 2 * self.traces.channels + _TABLE + 1
        self.register_buffer("centre", torch.zeros(count))
        self.register_buffer("scale", torch.ones(count))
        self.judged = nn.Sequential(
            nn.Dropout(config.dropout[0]),
            nn.Linear(count, config.hidden),
            nn.GELU(),
            nn.Dropout(config.dropout[1]),
            nn.Linear(config.hidden, 1),
        )

    def standardised(self, statistics: Tensor) -> Tensor:
        return ((statistics - self.centre) / self.scale).clamp(-_FURTHEST, _FURTHEST)

    def forward(self, statistics: Tensor) -> Tensor:
        return self.judged(self.standardised(statistics)).squeeze(1)


@torch.inference_mode()
def picture_planes(
    traces: Traces, pixels: np.ndarray, table: np.ndarray | None, device: torch.device
) -> list[Tensor]:
    """Traces (C, h, w) of a picture, or of windows that lie evenly in a large one.

    Args:
        pixels: uint8 (H, W, 3) RGB as stored, H and W at least 8.
        table: (8, 8), the luma quantisation table in natural order; None when there is none.
    """
    tables = torch.from_numpy(_known(table)).to(device)[None]
    rows, columns = (_starts(extent) for extent in pixels.shape[:2])
    found = []
    for top, left in product(rows, columns):
        part = pixels[top : top + WINDOW, left : left + WINDOW]
        height, width = (extent // CELL * CELL for extent in part.shape[:2])
        planes = torch.from_numpy(part[:height, :width].astype(np.float32)).permute(2, 0, 1)
        # TF32 would move scores by more than rounding.
        with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            found.append(traces.planes(planes[None].to(device), tables)[0])
    return found


def statistics(planes: list[Tensor], table: np.ndarray | None) -> np.ndarray:
    """Mean and deviation of each trace over all windows (C, h, w), and what the table says.

    Returns:
        float32 (F,).
    """
    flat = torch.cat([one.flatten(1) for one in planes], 1).double()
    known = _known(table).flatten()
    said = np.append(np.log1p(known[:_TABLE]), float(known.any()))
    parts = [flat.mean(1).cpu().numpy(), flat.std(1, correction=0).cpu().numpy(), said]
    return np.concatenate(parts).astype(np.float32)


def _known(table: np.ndarray | None) -> np.ndarray:
    return np.zeros((8, 8), np.float32) if table is None else table.astype(np.float32)


def _starts(extent: int) -> list[int]:
    """Where windows begin along an axis: on the block grid, evenly spread."""
    if extent <= WINDOW:
        return [0]
    count = min(WINDOWS, -(-extent // WINDOW))
    even = np.linspace(0, extent - WINDOW, count)
    return sorted({round(at) // CELL * CELL for at in even})
