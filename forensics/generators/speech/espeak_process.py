"""Speaks one text with eSpeak NG's C API and leaves: run as a script by `espeak`.

eSpeak keeps state between utterances (noise generator, phase, pitch flutter), which neither
setting the voice and every parameter nor terminating and initialising it again clears: the same
text gives other samples the second time (measured with 1.52). A process per utterance costs about
20 ms and is the only clean slate. It needs the standard library alone.

Standard input: one JSON object, see `main`. Standard output: the sampling rate in Hz as a line of
text, then int16 samples in this machine's byte order.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

_SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS: samples go to the callback, Synth returns at the end
_DO_NOT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
_UTF8 = 1  # espeakCHARS_UTF8
# espeak_PARAMETER, all of them: rate, volume, pitch, range, punctuation, capitals, word gap
_RATE, _VOLUME, _PITCH, _RANGE, _PUNCTUATION, _CAPITALS, _WORD_GAP = range(1, 8)

_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def speak(task: dict[str, Any]) -> tuple[int, bytes]:
    """Sampling rate in Hz and int16 samples of `task`.

    Raises:
        RuntimeError: the engine refuses.
    """
    engine = ctypes.CDLL(task["library"])
    text, size, number, pointer = ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_void_p
    engine.espeak_Synth.argtypes = [text, size, *(4 * [number]), pointer, pointer]
    engine.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
    rate = engine.espeak_Initialize(_SYNCHRONOUS, 0, task["data"].encode(), _DO_NOT_EXIT)
    if rate <= 0:
        raise RuntimeError(f"eSpeak cannot use its data folder {task['data']!r}")
    parts: list[bytes] = []

    @_Callback
    def take(samples: Any, count: int, _events: Any) -> int:
        if samples and count > 0:
            parts.append(ctypes.string_at(samples, 2 * count))
        return 0

    engine.espeak_SetSynthCallback(take)
    engine.espeak_ng_SetRandSeed(task["seed"])
    if engine.espeak_SetVoiceByName(task["voice"].encode()) != 0:
        raise RuntimeError(f"eSpeak refuses the voice {task['voice']!r}")
    settings = {_RATE: task["rate_wpm"], _PITCH: task["pitch"], _RANGE: task["pitch_range"]}
    settings |= {_VOLUME: 100, _PUNCTUATION: 0, _CAPITALS: 0, _WORD_GAP: 0}
    for parameter, value in settings.items():
        engine.espeak_SetParameter(parameter, value, 0)
    said = task["text"].encode() + b"\0"
    if engine.espeak_Synth(said, len(said), 0, 0, 0, _UTF8, None, None) != 0:
        raise RuntimeError("eSpeak refuses the text")
    return rate, b"".join(parts)


def main() -> None:
    """`{library, data, voice, rate_wpm, pitch, pitch_range, seed, text}` in, speech out."""
    try:
        rate, samples = speak(json.load(sys.stdin))
    except RuntimeError as error:
        sys.exit(str(error))
    sys.stdout.buffer.write(f"{rate}\n".encode() + samples)


if __name__ == "__main__":
    main()
