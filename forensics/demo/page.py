"""The demo's page: pictures and sounds of one utterance, the corpus, the audit, the verdicts."""

from __future__ import annotations

import base64
import io
from importlib import resources
from typing import TYPE_CHECKING

import numpy as np

from forensics.media.audio import Waveform, read_audio

if TYPE_CHECKING:
    from forensics.demo.run import DemoResult

_WINDOW_S, _HOP_S, _RANGE_DB = 0.025, 0.005, 70.0


def write_page(result: DemoResult) -> None:
    """Write `index.html` into the demo's folder; it needs no other file and no script."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined)
    template = (resources.files("forensics.demo") / "page.html").read_text(encoding="utf-8")
    copies = [
        {
            "name": item.meta.system,
            "kind": item.meta.kind,
            "picture": _data_url("image/png", spectrogram(read_audio(item.media))),
            "sound": _data_url(f"audio/{item.extension}", item.media),
        }
        for item in result.family
    ]
    page = environment.from_string(template).render(
        result=result,
        copies=copies,
        sheet=_data_url("image/png", result.images.sheet.read_bytes()),
        people=_data_url("image/png", result.people.sheet.read_bytes()),
    )
    (result.folder / "index.html").write_text(page, encoding="utf-8")


def spectrogram(wave: Waveform) -> bytes:
    """PNG of the log-magnitude spectrogram, time to the right, 0 Hz at the bottom."""
    from matplotlib.figure import Figure

    window, hop = (round(s * wave.sampling_rate) for s in (_WINDOW_S, _HOP_S))
    padded = np.pad(wave.samples, (0, max(0, window - len(wave.samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop] * np.hanning(window)
    level = 20 * np.log10(np.abs(np.fft.rfft(frames, 512)).T + 1e-6)
    figure = Figure(figsize=(4.2, 1.8), dpi=110)
    axes = figure.add_axes((0.11, 0.22, 0.87, 0.74))
    axes.imshow(
        level,
        origin="lower",
        aspect="auto",
        cmap="magma",
        vmin=level.max() - _RANGE_DB,
        extent=(0, wave.duration_s, 0, wave.sampling_rate / 2000),
    )
    axes.set_xlabel("s", fontsize=7)
    axes.set_ylabel("kHz", fontsize=7)
    axes.tick_params(labelsize=7)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
