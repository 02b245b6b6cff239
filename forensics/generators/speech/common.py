"""What the speech generators share: one item at a time, text for old engines, outside programs."""

from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from forensics.errors import ForensicsError, MediaError, MissingRequirement, UsageError
from forensics.generators.base import Generated, SpeechRequest
from forensics.media.audio import Waveform

_FOLDED = {"‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": " - ", "…": "..."}
_FOLDED |= {"ß": "ss", "æ": "ae", "Æ": "AE", "ø": "o", "Ø": "O", "œ": "oe", "Œ": "OE"}


def each(
    batch: Sequence[SpeechRequest], forge: Callable[[SpeechRequest], Generated]
) -> list[Generated | Exception]:
    """`forge` on every request by itself; what it raises takes that item's place."""
    results: list[Generated | Exception] = []
    for request in batch:
        try:
            results.append(forge(request))
        except Exception as error:
            results.append(error)
    return results


def spoken_text(request: SpeechRequest) -> str:
    """The request's text on one line, without control characters.

    Raises:
        UsageError: there is nothing to say.
    """
    kept = (" " if unicodedata.category(c) == "Cc" else c for c in request.text)
    text = " ".join("".join(kept).split())
    if not any(c.isalnum() for c in text):
        raise UsageError(f"{request.key}: there is no text to speak", "give the source a text")
    return text


def ascii_text(text: str) -> str:
    """For engines that read ASCII only: accents and typographic marks folded, the rest dropped."""
    for mark, plain in _FOLDED.items():
        text = text.replace(mark, plain)
    return unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()


def primary_language(tag: str) -> str:
    """ "en-US" → "en"."""
    return tag.replace("_", "-").partition("-")[0].lower()


def refuse_other_languages(request: SpeechRequest, language: str, engine: str) -> None:
    """Raises:
    UsageError: the text is in another language than the one the engine or voice reads.
    """
    if primary_language(request.language) != primary_language(language):
        raise UsageError(
            f"{request.key}: {engine} reads {language!r}, the text is {request.language!r}",
            "name a voice of that language, or leave this system out for it",
        )


def english_text(request: SpeechRequest, engine: str) -> str:
    """The request's text for an engine that reads English in ASCII.

    Raises:
        UsageError: another language, or nothing to say.
    """
    refuse_other_languages(request, "en", engine)
    return spoken_text(replace(request, text=ascii_text(request.text)))


def reference_of(request: SpeechRequest, min_s: float, min_rate: int = 1) -> Waveform:
    """The reference, for engines that analyse it.

    Raises:
        UsageError: there is none.
        MediaError: `too_short` below `min_s` seconds, `unsupported` below `min_rate` Hz,
            `invalid_samples` for NaN or infinity.
    """
    wave = request.reference
    if wave is None:
        raise UsageError(
            f"{request.key}: there is no recording to re-synthesise",
            "give the source recordings, or leave vocoders and codecs out",
        )
    if wave.duration_s < min_s:
        raise MediaError(
            "too_short", f"{request.key}: {wave.duration_s:.3f} s of speech, {min_s} s are needed"
        )
    if wave.sampling_rate < min_rate:
        raise MediaError(
            "unsupported",
            f"{request.key}: {wave.sampling_rate} Hz, {min_rate} Hz are needed",
            "resample the source",
        )
    if not np.isfinite(wave.samples).all():
        raise MediaError("invalid_samples", f"{request.key}: holds NaN or infinite samples")
    return wave


def engine_version(package: str) -> str:
    """Name and version of an installed package, for fingerprints.

    Raises:
        MissingRequirement: it is not installed.
    """
    try:
        return f"{package}={version(package)}"
    except PackageNotFoundError as error:
        what = f"Python package {package!r} is not installed"
        raise MissingRequirement(what, f"pip install {package}") from error


def weights_digest(*paths: Path) -> str:
    """sha256 over the contents of files in the given order, hexadecimal; memory stays small."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as handle:
            digest.update(hashlib.file_digest(handle, "sha256").digest())
    return digest.hexdigest()


def run_program(
    argv: Sequence[str],
    timeout_s: float,
    stdin: bytes = b"",
    cwd: Path | None = None,
    success: tuple[int, ...] = (0,),
) -> bytes:
    """Run a program without a shell and return its standard output.

    Its home is an empty folder and its locale is C, so that no start-up file changes the speech.

    Raises:
        MissingRequirement: it is not there.
        ForensicsError: it failed or took longer than `timeout_s` seconds.
    """
    with tempfile.TemporaryDirectory(prefix="forensics-") as home:
        environment = os.environ | {"HOME": home, "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                argv, input=stdin, capture_output=True, timeout=timeout_s, env=environment, cwd=cwd
            )
        except FileNotFoundError as error:
            raise MissingRequirement(
                f"program {argv[0]!r} is not on PATH", "install it, or add its folder to PATH"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise ForensicsError(
                f"{Path(argv[0]).name} took longer than {timeout_s:g} s",
                "shorten the text or raise 'timeout_s'",
            ) from error
    if done.returncode not in success:
        raise ForensicsError(f"{Path(argv[0]).name} failed: {_last_line(done)}")
    return done.stdout


def speak_to_file(
    text: str, argv: Callable[[str, str], Sequence[str]], timeout_s: float
) -> Waveform:
    """Run a program that reads a text file and writes a wav file.

    Args:
        text: handed over in a file: never an argument, never through a shell.
        argv: (path of the text, path of the wav to write) → the command.
        timeout_s: seconds until it is killed.

    Raises:
        ForensicsError: it failed, took too long, or wrote no audio. Both flite and festival exit
            with 0 after an error, so the file is the only proof.
    """
    import soundfile

    with tempfile.TemporaryDirectory(prefix="forensics-") as folder:
        said, heard = Path(folder, "text.txt"), Path(folder, "speech.wav")
        said.write_text(text + "\n", encoding="utf-8")
        command = argv(str(said), str(heard))
        run_program(command, timeout_s)
        try:
            samples, rate = soundfile.read(heard, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise ForensicsError(f"{command[0]} wrote no audio for {text[:60]!r}") from error
    return heard_something(Waveform(np.ascontiguousarray(samples[:, 0]), rate), command[0])


def heard_something(wave: Waveform, engine: str) -> Waveform:
    """The wave itself.

    Raises:
        ForensicsError: it holds no sound.
    """
    if not np.any(wave.samples):
        raise ForensicsError(f"{engine} returned silence")
    return wave


def _last_line(done: subprocess.CompletedProcess[bytes]) -> str:
    said = (done.stderr or done.stdout).decode(errors="replace").strip().splitlines()
    return said[-1] if said else f"exit status {done.returncode}"
