"""A detector's explanation of a window, as a verdict shows it: on the clip's time, rounded."""

from __future__ import annotations

import numpy as np

from forensics.detectors.base import Explanation
from forensics.verdict.schema import SegmentExplanation

MAX_STEPS = 64


def on_clip(shares: np.ndarray, window_s: float, clip_s: float) -> np.ndarray:
    """Shares of a window's equal steps → of a clip's, where it was repeated to fill the window.

    Args:
        shares: (..., T), over `window_s` seconds that hold a clip of `clip_s` again and again.

    Returns:
        float64 (..., n), n at most `MAX_STEPS`, over the clip; sums stay.
    """
    clip_s = min(clip_s, window_s)
    steps = shares.shape[-1]
    count = max(1, min(MAX_STEPS, round(steps * clip_s / window_s)))
    # Exact for any edges: differences of the running sum.
    running = np.zeros((*shares.shape[:-1], steps + 1))
    np.cumsum(shares, axis=-1, dtype=np.float64, out=running[..., 1:])
    position = np.linspace(0.0, clip_s, count + 1) * (steps / window_s)
    total = np.zeros((*shares.shape[:-1], count))
    for turn in range(int(np.ceil(window_s / clip_s))):
        at = np.minimum(position + turn * clip_s * (steps / window_s), steps)
        below = np.minimum(at.astype(int), steps - 1)
        part = at - below
        sums = running[..., below] * (1 - part) + running[..., below + 1] * part
        total += np.diff(sums, axis=-1)
    return total


def segment_explanation(
    found: Explanation, window_s: float, start_s: float, end_s: float
) -> SegmentExplanation:
    """Of the window that shows the file from `start_s` to `end_s`."""
    clip_s = end_s - start_s
    time = on_clip(found.time, window_s, clip_s)
    attention = None if found.attention is None else on_clip(found.attention, window_s, clip_s)
    return SegmentExplanation(
        start_s=start_s,
        end_s=end_s,
        seconds_per_step=min(clip_s, window_s) / len(time),
        time=rounded(time),
        layers=None if found.layers is None else rounded(found.layers),
        layer_groups=None if found.layer_groups is None else rounded(found.layer_groups),
        attention=None if attention is None else tuple(rounded(row) for row in attention),
    )


def rounded(shares: np.ndarray) -> tuple[float, ...]:
    """To four significant digits: more would be noise, and long."""
    return tuple(float(f"{share:.4g}") for share in shares)
