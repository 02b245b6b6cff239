"""Pictures of a verdict: its waveform, scores and attention over time, and the layers it used."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from forensics.errors import MediaError
from forensics.media.audio import AudioFile, Limits
from forensics.verdict.schema import Segment, SegmentExplanation, Threshold, Verdict

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLUMNS = 480
_COLUMN_READ_S = 0.25  # of a longer column only that much is looked at
_MAX_VECTORS = 400  # segments; more are drawn as pixels, so that the page stays small
_BONAFIDE, _BETWEEN, _MANIPULATED = "#2e7d5b", "#e5d9a8", "#b3372f"
_SOFT, _GROUND, _WAVE = "#5b6b7d", "#eceff2", "#5b6b7d"


def envelope(source: Path | bytes, limits: Limits | None = None) -> np.ndarray:
    """Loudest |sample| in each of 480 equal stretches: float32 (480,).

    Raises:
        MediaError: the file cannot be read (any more).
    """
    with AudioFile(source, limits) as audio:
        if audio.duration_s <= _COLUMNS * _COLUMN_READ_S:
            samples = np.abs(audio.read().samples)
            edges = np.linspace(0, len(samples), _COLUMNS, endpoint=False).astype(int)
            return np.maximum.reduceat(samples, edges)
        starts = np.arange(_COLUMNS) * audio.duration_s / _COLUMNS
        parts = (audio.read(start, _COLUMN_READ_S).samples for start in starts)
        return np.array([np.abs(part).max(initial=0.0) for part in parts], np.float32)


def timeline(verdict: Verdict, source: Path | bytes | None) -> str | None:
    """Waveform, score of each segment and attention, over time: an SVG as a data URI.

    None when there is nothing to draw.
    """
    duration = verdict.input.duration_s
    if not duration or not verdict.segments:
        return None
    from matplotlib.figure import Figure

    attention = attention_over_time(verdict.segments, duration)
    rows = 2 if attention is None else 3
    figure = Figure(figsize=(9, 1.6 + 0.8 * rows), layout="constrained")
    heights = [1.6, 2.2, 0.5][:rows]
    panels = np.atleast_1d(figure.subplots(rows, 1, sharex=True, height_ratios=heights)).tolist()
    _draw_wave(panels[0], source, duration)
    _draw_scores(panels[1], verdict.segments, verdict.threshold)
    if attention is not None:
        panels[2].imshow(
            attention[None, :], aspect="auto", cmap="Blues", vmin=0, extent=(0, duration, 0, 1)
        )
        panels[2].set_yticks([])
        _title(panels[2], "attention")
    panels[-1].set_xlim(0, duration)
    panels[-1].set_xlabel("seconds")
    return _svg(figure)


def layer_map(explanation: SegmentExplanation | None) -> str | None:
    """How much each layer and group of layers was used, and when: an SVG as a data URI.

    None for a network that tells of no layers.
    """
    if explanation is None or explanation.layers is None:
        return None
    from matplotlib.figure import Figure

    shares, groups, over_time = (
        explanation.layers,
        explanation.layer_groups,
        explanation.attention,
    )
    widths = [1.0, *([0.7] if groups else []), *([3.0] if over_time else [])]
    figure = Figure(figsize=(9, 1.2 + 0.1 * max(len(shares), 8)), layout="constrained")
    panels = np.atleast_1d(figure.subplots(1, len(widths), width_ratios=widths)).tolist()
    _draw_bars(panels.pop(0), shares, "share of each layer")
    if groups:
        _draw_bars(panels.pop(0), groups, "of groups")
    if over_time:
        # A row's attention is weighed by its layer: what an unused layer looked at had no effect.
        used = np.array(over_time) * np.array(shares)[:, None]
        panel = panels.pop(0)
        extent = (explanation.start_s, explanation.end_s, 0.5, len(shares) + 0.5)
        panel.imshow(used, aspect="auto", origin="lower", cmap="Blues", vmin=0, extent=extent)
        panel.set_xlabel("seconds")
        panel.set_title("layer × time", fontsize=9, color=_SOFT, loc="left")
    return _svg(figure)


def attention_over_time(segments: tuple[Segment, ...], duration_s: float) -> np.ndarray | None:
    """Attention a second in each of 480 equal stretches, the mean of the segments over it.

    Returns:
        float64 (480,), 0 where nothing was scored; None when no segment tells.
    """
    total, count = np.zeros(_COLUMNS), np.zeros(_COLUMNS)
    centres = (np.arange(_COLUMNS) + 0.5) * duration_s / _COLUMNS
    for segment in segments:
        if segment.attention is None:
            continue
        length = segment.end_s - segment.start_s
        inside = (centres >= segment.start_s) & (centres < segment.end_s)
        steps = len(segment.attention)
        step = ((centres[inside] - segment.start_s) / length * steps).astype(int)
        total[inside] += np.array(segment.attention)[np.minimum(step, steps - 1)] * steps / length
        count[inside] += 1
    return total / np.maximum(count, 1) if count.any() else None


def _draw_wave(panel: Axes, source: Path | bytes | None, duration: float) -> None:
    try:
        peaks = None if source is None else envelope(source)
    except MediaError:  # it was there a moment ago; the verdict stands without its picture
        peaks = None
    if peaks is not None:
        times = (np.arange(len(peaks)) + 0.5) * duration / len(peaks)
        panel.fill_between(times, -peaks, peaks, color=_WAVE, linewidth=0)
        limit = max(0.05, float(peaks.max()))
        panel.set_ylim(-limit, limit)
    panel.set_yticks([])
    _title(panel, "wave")


def _draw_scores(panel: Axes, segments: tuple[Segment, ...], threshold: Threshold | None) -> None:
    """p of each segment between the thresholds; raw scores where there is no p."""
    starts, ends = [s.start_s for s in segments], [s.end_s for s in segments]
    p = [s.p_manipulated for s in segments if s.p_manipulated is not None]
    many = len(segments) > _MAX_VECTORS
    if len(p) < len(segments):
        raw = [s.raw for s in segments]
        panel.hlines(raw, starts, ends, color=_SOFT, lw=2, rasterized=many)
        _title(panel, "raw")
        return
    from matplotlib.colors import LinearSegmentedColormap

    colours = LinearSegmentedColormap.from_list("verdict", [_BONAFIDE, _BETWEEN, _MANIPULATED])
    panel.set_facecolor(_GROUND)
    if threshold is not None:
        panel.axhspan(threshold.manipulated_above, 1, color=_MANIPULATED, alpha=0.16, lw=0)
        if threshold.bonafide_below is not None:
            panel.axhspan(0, threshold.bonafide_below, color=_BONAFIDE, alpha=0.16, lw=0)
    centres = [(start + end) / 2 for start, end in zip(starts, ends, strict=True)]
    panel.plot(centres, p, color=_SOFT, lw=0.6, alpha=0.6, rasterized=many)
    panel.hlines(p, starts, ends, color=colours(np.array(p)), lw=2.4, rasterized=many)
    panel.set_ylim(0, 1)
    panel.set_yticks([0, 0.5, 1])
    _title(panel, "p")


def _draw_bars(panel: Axes, shares: tuple[float, ...], title: str) -> None:
    panel.barh(np.arange(1, len(shares) + 1), shares, color=_SOFT, height=0.8)
    panel.set_ylim(0.4, len(shares) + 0.6)
    panel.set_xlim(left=0)
    panel.set_xticks([])
    panel.set_title(title, fontsize=9, color=_SOFT, loc="left")
    panel.spines[:].set_visible(False)


def _title(panel: Axes, text: str) -> None:
    panel.set_ylabel(text, rotation=0, ha="right", va="center")
    panel.spines[:].set_visible(False)


def _svg(figure: Figure) -> str:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
