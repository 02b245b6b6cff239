"""Opens one input and finds out what it is: speech, a picture, or the frames of a video."""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass

from forensics.errors import MediaError, MissingRequirement
from forensics.media.audio import AudioFile, Limits, Waveform
from forensics.media.frame_choice import spread
from forensics.media.image import ImageLimits, Picture, read_image
from forensics.media.inputs import InputItem
from forensics.media.raw import RawFile
from forensics.media.video_frames import VideoFrames
from forensics.verdict.case import Case
from forensics.verdict.image_judge import Frame
from forensics.verdict.schema import Input
from forensics.verdict.sources import FrameSet, printable
from forensics.verdict.speech import Readable
from forensics.verdict.speech_judge import audio_provenance

_SOUND = "audio: the sound of a video is not judged with its pictures"


@dataclass(frozen=True)
class Pictures:
    """One picture, or frames that get one verdict."""

    one: Picture | None = None
    frames: Iterable[Frame] = ()


class Opener:
    """Opens what somebody is there to judge.

    Args:
        frames: of a video or a set of frames, at most that many.
        judged: the modalities, "speech" and "image", that have a detector.
    """

    def __init__(
        self, limits: Limits, image_limits: ImageLimits, frames: int, judged: frozenset[str]
    ):
        self._limits, self._image_limits = limits, image_limits
        self._frames, self._judged = frames, judged

    def open(self, case: Case, opened: ExitStack) -> Readable | Pictures:
        """The input, proved to be what a detector judges; what is learnt on the way stays in
        the case.

        Raises:
            MediaError: it cannot be judged.
        """
        start = time.perf_counter()
        try:
            return self._open(case, opened)
        finally:
            case.decode_s = time.perf_counter() - start

    def _open(self, case: Case, opened: ExitStack) -> Readable | Pictures:
        content = case.source.content
        if content is None:
            raise case.source.problem or ValueError("nothing to judge")
        if isinstance(content, Waveform):
            self._claim(case, "speech")
            case.input = Input(
                sampling_rate=content.sampling_rate, channels=1, duration_s=content.duration_s
            )
            return content
        if isinstance(content, Picture):
            self._claim(case, "image")
            return Pictures(content)
        if isinstance(content, FrameSet):
            return self._frame_set(case, content)
        raw = opened.enter_context(RawFile(content, self._limits.max_bytes))
        case.input = Input(sha256=raw.sha256(), size_bytes=raw.size_bytes)
        if raw.content is None:
            raise MediaError(
                "not_media", "neither audio, an image nor a video", "name a media file"
            )
        if raw.content.modality == "image":
            self._claim(case, "image")
            return Pictures(self._picture(raw))
        return self._sound_or_video(case, raw, opened)

    def _picture(self, raw: RawFile) -> Picture:
        limit = self._image_limits.max_bytes
        if raw.size_bytes > limit:
            what = f"{raw.name}: {raw.size_bytes} bytes, the limit for a picture is {limit}"
            raise MediaError("too_large", what, "scale it down")
        return read_image(raw, self._image_limits)

    def _frame_set(self, case: Case, named: FrameSet) -> Pictures:
        self._claim(case, "video")
        items = [named.items[i] for i in spread(len(named.items), self._frames)]
        case.input = Input(format="frames")
        case.not_run = _unseen(len(items), len(named.items))
        return Pictures(frames=(self._frame(item) for item in items))

    def _frame(self, item: InputItem) -> Frame:
        name = printable(item.name)
        try:
            if item.source is None:
                raise item.problem or ValueError("nothing to judge")
            with RawFile(item.source, self._image_limits.max_bytes) as raw:
                return Frame(name, None, self._picture(raw))
        except MediaError as error:
            return Frame(name, None, error)

    def _sound_or_video(self, case: Case, raw: RawFile, opened: ExitStack) -> Readable | Pictures:
        assert raw.content is not None
        if raw.content.modality == "video" and "image" in self._judged:
            try:
                return self._video(case, raw, opened)
            except MediaError as error:
                if error.reason != "no_video" or raw.content.demuxer is None:
                    raise
        if raw.content.modality == "video" and raw.content.demuxer is None:
            self._claim(case, "video")
        if "speech" not in self._judged:
            self._claim(case, "speech")
        case.modality = "speech" if raw.content.modality == "audio" else "video"
        audio = opened.enter_context(AudioFile(raw, self._limits))
        case.modality = "video" if audio.has_video else "speech"
        case.provenance = audio_provenance(audio)
        case.input = case.input.model_copy(
            update={
                "container": audio.content.container,
                "codec": audio.info.codec,
                "sampling_rate": audio.info.sampling_rate,
                "channels": audio.info.channels,
                "duration_s": audio.info.duration_s,
            }
        )
        if audio.has_video:
            raise _unsupported("video", "speech")
        return audio

    def _video(self, case: Case, raw: RawFile, opened: ExitStack) -> Pictures:
        case.modality = "video"
        try:
            video = opened.enter_context(VideoFrames(raw))
        except MissingRequirement as error:
            raise MediaError("unsupported", error.what, error.fix) from error
        case.input = case.input.model_copy(
            update={
                "container": video.container,
                "codec": video.codec,
                "duration_s": video.duration_s,
                "width": video.width,
                "height": video.height,
            }
        )
        chosen = spread(video.frame_count, self._frames)
        case.not_run = (*_unseen(len(chosen), video.frame_count), _SOUND)
        return Pictures(
            frames=(Frame(None, f.time_s, Picture(f.pixels)) for f in video.take(chosen))
        )

    def _claim(self, case: Case, modality: str) -> None:
        """Note what it is.

        Raises:
            MediaError: nobody judges that here.
        """
        case.modality = modality
        judge = "speech" if modality == "speech" else "image"
        if judge in self._judged:
            return
        (other,) = self._judged
        raise _unsupported(modality, other)


def _unsupported(modality: str, judged: str) -> MediaError:
    what = {"speech": "a recording", "image": "an image", "video": "a video"}[modality]
    judges = {"speech": "speech", "image": "images"}
    fix = f"leave --detector out, or name one for {judges.get(modality, 'images')}"
    if modality == "video":
        fix += "; or extract the audio track to judge it"
    what = f"{what}, and the detector judges {judges[judged]}"
    return MediaError("unsupported_modality", what, fix)


def _unseen(judged: int, total: int) -> tuple[str, ...]:
    return (
        (f"frames: {judged} of {total}, evenly spread, were looked at",) if judged < total else ()
    )
