"""A picture of any size through the localiser, in tiles, with flat memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from forensics.networks.localiser.network import (
    CELL,
    FINE,
    GRID,
    Decoded,
    Encoded,
    Localiser,
    Pooled,
)

TILE, OVERLAP = 1280, 96
KEPT = 12
"""Encoded tiles held in memory. A picture of more is compared with so many of its tiles, evenly
spread, instead of all; every tile is encoded once in either case."""


@dataclass(frozen=True)
class _Span:
    """Along one axis, in pixels: a tile, and the part of it that no other tile answers for."""

    start: int
    stop: int
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class Found:
    """What a network found in a picture.

    Attributes:
        logits: of the mask, float32 (ceil(H / 32) * 8, ceil(W / 32) * 8), 4 pixels apart from the
            top left on; above 0 where the network calls it manipulated.
        score: raw, higher = bona fide.
        tiles: that were computed.
    """

    logits: np.ndarray
    score: float
    tiles: int


@torch.inference_mode()
def localise(
    network: Localiser,
    pixels: np.ndarray,
    table: np.ndarray | None,
    device: torch.device,
    tile: int = TILE,
    overlap: int = OVERLAP,
    kept: int = KEPT,
) -> Found:
    """Mask logits and score of one picture, by a network in evaluation mode on `device`.

    Args:
        pixels: uint8 (H, W, 3) RGB as stored.
        table: (8, 8), the luma quantisation table in natural order; None when there is none.
        tile: largest side, and overlap of neighbours, in pixels, both multiples of 32.
    """
    height, width = (-(-side // GRID) * GRID for side in pixels.shape[:2])
    spans = [
        (rows, columns)
        for rows in _spans(height, tile, overlap)
        for columns in _spans(width, tile, overlap)
    ]
    tables = torch.zeros(1, 8, 8) if table is None else torch.from_numpy(table).float()[None]
    tables = tables.to(device)

    def encoded(number: int) -> Encoded:
        rows, columns = spans[number]
        return network.encode(_tile(pixels, rows, columns).to(device), tables)

    chosen = np.unique(np.linspace(0, len(spans) - 1, min(kept, len(spans))).round().astype(int))
    held = _held(encoded, chosen.tolist())
    cores = [_core(one.features, *spans[number], step=CELL) for number, one in held.items()]
    spread = network.compare(cores)
    total = torch.zeros(1, 1, height // FINE, width // FINE, device=device)
    weights = torch.zeros_like(total)
    pooled = []
    for number, (rows, columns) in enumerate(spans):
        decoded = network.decode(held.pop(number, None) or encoded(number), spread)
        pooled.append(
            Pooled.of(
                Decoded(
                    _core(decoded.logits, rows, columns, FINE),
                    _core(decoded.features, rows, columns, CELL),
                )
            )
        )
        weight = _ramp(rows, height, overlap)[:, None] * _ramp(columns, width, overlap)
        weight = weight.to(device)
        place = (..., _slice(rows, FINE), _slice(columns, FINE))
        total[place] += decoded.logits * weight
        weights[place] += weight
    logits = total / weights
    score = network.judge(logits, reduce(Pooled.__add__, pooled), spread)
    return Found(
        (logits - network.cut)[0, 0].float().cpu().numpy(), float(score.double()), len(spans)
    )


def _held(encoded: Callable[[int], Encoded], numbers: list[int]) -> dict[int, Encoded]:
    """Encoded tiles, all of one size, in one piece of memory for each kind of feature: scattered
    among what encoding uses and frees, they would keep the allocator from using it again."""
    features: Tensor | None = None
    fine: Tensor | None = None
    held: dict[int, Encoded] = {}
    for place, number in enumerate(numbers):
        one = encoded(number)
        if features is None:
            features = one.features.new_empty(len(numbers), *one.features.shape[1:])
            fine = (
                None if one.fine is None else one.fine.new_empty(len(numbers), *one.fine.shape[1:])
            )
        features[place] = one.features[0]
        if fine is not None and one.fine is not None:
            fine[place] = one.fine[0]
        row = slice(place, place + 1)
        held[number] = Encoded(features[row], None if fine is None else fine[row])
    return held


def _spans(side: int, largest: int, overlap: int) -> Iterator[_Span]:
    """Tiles along an axis: as few as will do, of one size, the last one flush with the end."""
    if side <= largest:
        yield _Span(0, side, 0, side)
        return
    count = -(-(side - overlap) // (largest - overlap))
    tile = -(-(side + (count - 1) * overlap) // (count * GRID)) * GRID
    starts = [*range(0, side - tile, tile - overlap), side - tile]
    middles = [(a + tile + b) // 2 // CELL * CELL for a, b in pairwise(starts)]
    for start, begin, end in zip(starts, [0, *middles], [*middles, side], strict=True):
        yield _Span(start, start + tile, begin, end)


def _tile(pixels: np.ndarray, rows: _Span, columns: _Span) -> Tensor:
    """float32 (1, 3, h, w) in [0, 255]; beyond the picture its border is repeated."""
    part = pixels[rows.start : rows.stop, columns.start : columns.stop]
    below = rows.stop - rows.start - part.shape[0]
    right = columns.stop - columns.start - part.shape[1]
    if below or right:
        part = np.pad(part, ((0, below), (0, right), (0, 0)), mode="symmetric")
    planes = torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None]
    return planes.float()  # channels last, as the network's weights are


def _core(maps: Tensor, rows: _Span, columns: _Span, step: int) -> Tensor:
    vertical, horizontal = (
        slice((span.core_start - span.start) // step, (span.core_stop - span.start) // step)
        for span in (rows, columns)
    )
    return maps[..., vertical, horizontal]


def _slice(span: _Span, step: int) -> slice:
    return slice(span.start // step, span.stop // step)


def _ramp(span: _Span, side: int, overlap: int) -> Tensor:
    """Weights of a tile along an axis, (n,): 1 inside, falling over the overlap with a neighbour.

    The outer quarter of the overlap, where a tile lacks most of its surroundings, counts next to
    nothing.
    """
    count, width = (span.stop - span.start) // FINE, overlap // FINE
    places = torch.arange(count) + 0.5
    weights = torch.ones(count)
    if span.start > 0:
        weights = torch.minimum(weights, places / width * 2 - 0.5)
    if span.stop < side:
        weights = torch.minimum(weights, (count - places) / width * 2 - 0.5)
    return weights.clamp(1e-6, 1)


def chances(logits: np.ndarray) -> np.ndarray:
    """Mask logits → float32, as large, in [0, 1], 1 = manipulated."""
    return 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
