"""Spectrograms of a sentence and of its copies by the vocoders in the package, for the docs.

    python benchmarks/vocoder_copies.py docs/img/vocoders.png

The sentence is read by eSpeak, so that the picture holds nobody's voice.
"""

from __future__ import annotations

import sys

import numpy as np
from matplotlib.figure import Figure

from forensics.generators.base import GENERATORS, SpeechRequest
from forensics.media.audio import Waveform

SYSTEMS = ("own-upsampling", "own-fourier", "own-flow", "griffinlim")
RATE = 16_000
TEXT = "The birch canoe slid on the smooth planks."


def made(name: str, reference: Waveform | None) -> Waveform:
    """What an engine makes of the sentence, or of its recording."""
    engine = GENERATORS.get(name)()
    engine.load()
    (result,) = engine.generate([SpeechRequest("k", 1, TEXT, "en", reference)])
    if isinstance(result, Exception):
        raise result
    return result.waveform.resampled(RATE)


def main() -> None:
    spoken = made("espeak", None)
    spoken = Waveform(np.ascontiguousarray(spoken.samples[: 2 * RATE]), RATE)
    rows = {"eSpeak, the recording": spoken, **{name: made(name, spoken) for name in SYSTEMS}}
    figure = Figure(figsize=(9, 9), layout="constrained")
    axes = figure.subplots(len(rows), 1, sharex=True, sharey=True)
    for axis, (title, wave) in zip(axes, rows.items(), strict=True):
        axis.specgram(wave.samples, NFFT=512, Fs=RATE, noverlap=384, vmin=-140, vmax=-40)
        axis.set_title(title, fontsize=9)
        axis.set_ylabel("Hz")
    axes[-1].set_xlabel("s")
    figure.savefig(sys.argv[1], dpi=64)


if __name__ == "__main__":
    main()
