"""What `detect` accepts, as things with a name that can be opened and read in parts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics.errors import MediaError, UsageError
from forensics.media.audio import Limits, Waveform, downmix
from forensics.media.image import Picture
from forensics.media.inputs import InputItem, expand_inputs


@dataclass(frozen=True)
class FrameSet:
    """Pictures that get one verdict together, in order of time: the frames of one camera."""

    name: str
    items: tuple[InputItem, ...]


Judgeable = (
    str
    | os.PathLike[str]
    | bytes
    | Waveform
    | tuple[Any, int]
    | np.ndarray
    | Picture
    | FrameSet
    | InputItem
)
_SINGLE = (str, os.PathLike, bytes, Waveform, np.ndarray, Picture, FrameSet, InputItem)


@dataclass(frozen=True)
class Source:
    """One thing to judge: a path, bytes, a waveform, a picture, frames, or why there is none."""

    name: str
    content: Path | bytes | Waveform | Picture | FrameSet | None
    problem: MediaError | None = None


def frame_set(named: str | os.PathLike[str]) -> FrameSet:
    """The files of a folder or glob, sorted by name, as the frames of one sequence."""
    return FrameSet(os.fspath(named), tuple(expand_inputs([named])))


def sources(inputs: Judgeable | Iterable[Judgeable]) -> Iterator[Source]:
    """One input or many, in order; strings and paths go through `expand_inputs` here.

    Paths are kept once over all inputs.

    Raises:
        UsageError: something that is no input.
    """
    seen: set[str] = set()
    for index, one in enumerate(_each(inputs)):
        if isinstance(one, bytes):
            yield Source(f"<bytes {index}>", one)
        elif isinstance(one, Waveform):
            yield _waveform(f"<waveform {index}>", one.samples, one.sampling_rate)
        elif isinstance(one, tuple) and len(one) == 2:
            yield _waveform(f"<waveform {index}>", *one)
        elif isinstance(one, np.ndarray):
            yield _picture(f"<pixels {index}>", one)
        elif isinstance(one, Picture):
            yield Source(f"<picture {index}>", one)
        elif isinstance(one, FrameSet):
            yield Source(one.name, one)
        elif isinstance(one, InputItem):
            yield Source(one.name, one.source, one.problem)
        elif isinstance(one, str | os.PathLike):
            for item in expand_inputs([one]):
                key = _key(item)
                if key not in seen:
                    seen.add(key)
                    yield Source(item.name, item.source, item.problem)
        else:
            raise UsageError(
                f"input {index} is a {type(one).__name__}",
                "give paths, bytes, (samples, sampling rate) pairs, or uint8 (H, W, 3) pixels",
            )


def printable(text: str) -> str:
    """Valid Unicode: bytes of a file name that are not UTF-8 become `\\xff`."""
    return re.sub("[\ud800-\udfff]", _escaped, text)


def _escaped(surrogate: re.Match[str]) -> str:
    code = ord(surrogate[0])
    byte = code - 0xDC00  # how Python smuggles such bytes through str (PEP 383)
    return f"\\x{byte:02x}" if 0x80 <= byte <= 0xFF else f"\\u{code:04x}"


def _key(item: InputItem) -> str:
    if isinstance(item.source, Path):
        return os.path.normpath(item.source.absolute())
    return item.name


def _each(inputs: Judgeable | Iterable[Judgeable]) -> Iterable[Any]:
    if isinstance(inputs, _SINGLE):
        return [inputs]
    is_pair = isinstance(inputs, tuple) and len(inputs) == 2 and isinstance(inputs[1], int)
    return [inputs] if is_pair else inputs


def _picture(name: str, pixels: np.ndarray) -> Source:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        what = f"{name}: {pixels.dtype} pixels of shape {pixels.shape}"
        fix = "give uint8 (H, W, 3) RGB; samples come with their sampling rate"
        return Source(name, None, MediaError("unsupported", what, fix))
    if pixels.size == 0:
        return Source(name, None, MediaError("empty", f"{name}: holds no pixels", "give some"))
    return Source(name, Picture(pixels))


def _waveform(name: str, samples: Any, sampling_rate: int) -> Source:
    try:
        return Source(name, _checked(name, samples, sampling_rate))
    except MediaError as error:
        return Source(name, None, error)


def _checked(name: str, samples: Any, sampling_rate: int) -> Waveform:
    """Samples (T,), or (T, C) or (C, T) with fewer channels than samples, float or integer PCM."""
    limits = Limits()
    array = np.asarray(samples)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fi":
        what = f"{name}: {array.dtype} samples of shape {array.shape}"
        raise MediaError("unsupported", what, "give float samples of shape (T,)")
    if not limits.min_rate <= sampling_rate <= limits.max_rate:
        raise MediaError("unsupported", f"{name}: {sampling_rate} Hz", "give the sampling rate")
    if array.size == 0:
        raise MediaError("empty", f"{name}: holds no samples", "give some")
    full_scale = -float(np.iinfo(array.dtype).min) if array.dtype.kind == "i" else 1.0
    with np.errstate(over="ignore"):
        array = (array / full_scale).astype(np.float32)
    if array.ndim == 2:
        array = downmix(array if array.shape[0] > array.shape[1] else array.T)
    if not np.isfinite(array).all():
        what = f"{name}: holds NaN or infinite samples"
        raise MediaError("invalid_samples", what, "look at what made it")
    return Waveform(array, int(sampling_rate))
