"""One bona fide recording (or text) of a source, and how its fields are read."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from forensics.errors import MediaError, UsageError
from forensics.labels import read_label
from forensics.media.audio import AudioFile, Limits
from forensics.media.raw import RawFile
from forensics.shards.format import Split

# Average speech; only used to guess how long a text takes to read.
CHARACTERS_PER_SECOND = 14.0
_ID_LENGTH = 40


class Utterance(BaseModel):
    """One bona fide recording.

    Attributes:
        id: unique in the source; part of the plan, never of a key.
        path: relative to the source's root; empty for a text without a recording.
        span: (offset, bytes) of the recording inside `path` when that is a shard.
        sha256: of the recording's bytes; of the text when there is no recording.
        group: what splits never cross: the speaker.
        split: fixed by the source, or None to let the plan decide.
        broken: why the recording cannot be used; such utterances are planned and listed as failed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    id: str
    path: str
    span: tuple[int, int] | None = None
    sha256: str | None
    duration_s: float
    sampling_rate: int | None = None
    group: str
    domain: str
    text: str | None = None
    language: str | None = None
    licence: str | None = None
    split: Split | None = None
    broken: str | None = None

    @property
    def text_only(self) -> bool:
        return not self.path


class Source(BaseModel):
    """Utterances sorted by id, and the folder that their paths are relative to."""

    root: Path
    utterances: list[Utterance]
    notes: list[str] = []


def utterance_id(*parts: str) -> str:
    """A readable id that stays unique: the end of the last part and a hash of all of them."""
    stem = re.sub(r"[^a-z0-9]+", "-", Path(parts[-1]).stem.lower()).strip("-")[:_ID_LENGTH]
    return f"{stem or 'x'}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def measure(recording: Path | bytes) -> dict[str, Any]:
    """`sha256`, `duration_s`, `sampling_rate` of a recording, or `broken` with the reason."""
    try:
        with RawFile(recording, Limits().max_bytes) as raw, AudioFile(raw) as audio:
            return {
                "sha256": raw.sha256(),
                "duration_s": round(audio.info.duration_s, 6),
                "sampling_rate": audio.info.sampling_rate,
            }
    except MediaError as error:
        return {"sha256": None, "duration_s": 0.0, "broken": f"source: {error.reason}"}


def is_bonafide(label: Any, where: str) -> bool:
    """Read a label that a source states; none stated counts as bona fide.

    Raises:
        UsageError: a label that is not plainly one or the other, e.g. 0 or 1.
    """
    text = "" if label is None else str(label).strip()
    found = read_label(text) if text else "bonafide"
    if found is not None:
        return found == "bonafide"
    raise UsageError(f"{where}: the label {label!r} is not known", "use 'bonafide' or 'spoof'")


def checked_split(split: Any, where: str) -> Split | None:
    """Read a split that a source states.

    Raises:
        UsageError: another name.
    """
    text = "" if split is None else str(split).strip()
    if text in ("train", "dev", "test"):
        return text
    if text:
        raise UsageError(f"{where}: split {text!r}", "use train, dev, test or leave it empty")
    return None
