"""One bona fide recording (or text) of a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forensics.corpus.item import SourceItem
from forensics.errors import MediaError
from forensics.media.audio import AudioFile, Limits
from forensics.media.raw import RawFile

# Average speech; only used to guess how long a text takes to read.
CHARACTERS_PER_SECOND = 14.0


class Utterance(SourceItem):
    """One bona fide recording.

    Attributes:
        path: empty for a text without a recording.
        sha256: of the text when there is no recording.
        group: the speaker.
    """

    duration_s: float
    sampling_rate: int | None = None
    text: str | None = None
    language: str | None = None

    @property
    def text_only(self) -> bool:
        return not self.path


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
