"""Pictures of a verdict: the waveform, and under it what each segment says."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np

from forensics.errors import MediaError
from forensics.media.audio import AudioFile, Limits
from forensics.verdict.schema import Verdict

_COLUMNS = 480
_COLUMN_READ_S = 0.25  # of a longer column only that much is looked at


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


def picture(verdict: Verdict, source: Path | bytes | None) -> str | None:
    """An SVG as a data URI; None when there is nothing to draw."""
    duration = verdict.input.duration_s
    if not duration or not verdict.segments:
        return None
    from matplotlib import rc_context
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure

    colours = LinearSegmentedColormap.from_list("verdict", ["#2e7d5b", "#e5d9a8", "#b3372f"])
    figure = Figure(figsize=(9, 1.9), layout="constrained")
    wave, strip = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    try:
        peaks = None if source is None else envelope(source)
    except MediaError:  # it was there a moment ago; the verdict stands without its picture
        peaks = None
    if peaks is not None:
        times = (np.arange(len(peaks)) + 0.5) * duration / len(peaks)
        wave.fill_between(times, -peaks, peaks, color="#5b6b7d", linewidth=0)
        limit = max(0.05, float(peaks.max()))
        wave.set_ylim(-limit, limit)
    wave.set_ylabel("wave", rotation=0, ha="right", va="center")
    strip.set_facecolor("#eceff2")
    for segment in verdict.segments:
        strip.axvspan(segment.start_s, segment.end_s, color=colours(segment.p_manipulated), lw=0)
    strip.set_ylabel("p", rotation=0, ha="right", va="center")
    strip.set_xlim(0, duration)
    strip.set_xlabel("seconds")
    for axes in (wave, strip):
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    buffer = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()
