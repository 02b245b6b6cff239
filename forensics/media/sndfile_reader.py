"""Reads wav, flac, mp3, ogg, opus, aiff, au and caf by libsndfile."""

from __future__ import annotations

import numpy as np
import soundfile

from forensics.errors import MediaError
from forensics.media.raw import RawFile

_UNKNOWN_FRAMES = 1 << 62  # libsndfile's answer where the header does not say
_PREROLL = 4096  # frames; Vorbis and Opus need what comes before to decode what follows
_SKIP = 1 << 18  # frames decoded at a time to get past them
_LOSSY = frozenset({"MP3", "OGG"})


class _OnwardFile(soundfile.SoundFile):
    """python-soundfile seeks after every read of a seekable file, to where it already is; libmpg123
    then decodes the next frames without the bits they borrow from earlier ones."""

    def seekable(self) -> bool:
        return False


class SndfileReader:
    """An opened file.

    Attributes:
        sampling_rate, channels, frames: as the header says.
        container, codec: libsndfile's names, e.g. "WAV" and "PCM_16".
        tags: what the file says of its making: software, comment, date, …
        exact_length: whether `frames` is a promise, or may count an encoder's padding.
        has_video: never.

    Raises:
        MediaError: `truncated`, the header cannot be read or does not give the length.
    """

    has_video = False

    def __init__(self, raw: RawFile):
        self.name = raw.name
        try:
            self._file = _OnwardFile(raw.sndfile_source(), closefd=False)
        except soundfile.LibsndfileError as error:
            raise self._damaged(error) from error
        self.sampling_rate, self.channels = self._file.samplerate, self._file.channels
        self.frames, self._position = self._file.frames, 0
        self.container, self.codec = self._file.format, self._file.subtype
        self.tags = self._file.copy_metadata()
        self.exact_length = self.container not in _LOSSY
        if self.frames >= _UNKNOWN_FRAMES:
            self.close()
            raise MediaError(
                "truncated", f"{self.name}: the header does not give the length", "export it again"
            )

    def close(self) -> None:
        self._file.close()

    def read(self, start: int, count: int) -> np.ndarray:
        """Frames [start, start+count) → float32 (n, channels); n < count at the end of the data.

        Raises:
            MediaError: `truncated`, the data is damaged.
        """
        try:
            if self._position != start:
                self._seek(start)
            samples = self._file.read(count, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, RuntimeError) as error:
            raise self._damaged(error) from error
        self._position = start + len(samples)
        return samples

    def _seek(self, start: int) -> None:
        if self.container == "MP3":  # see above: by decoding, at some 400 times real time
            if start < self._position:
                self._position = self._file.seek(0)
            self._skip(start - self._position)
            return
        lead = 0 if self.exact_length else min(start, _PREROLL)
        self._file.seek(start - lead)
        self._skip(lead)

    def _skip(self, count: int) -> None:
        while count > 0:
            passed = len(self._file.read(min(count, _SKIP), dtype="float32"))
            if passed == 0:
                return
            count -= passed

    def _damaged(self, error: Exception) -> MediaError:
        why = getattr(error, "error_string", str(error)) or "decoder error"
        return MediaError(
            "truncated", f"{self.name}: cut or damaged ({why})", "copy or export the file again"
        )
