"""`forensics.detect`: from files to verdicts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forensics.errors import UsageError
from forensics.identity.asking import Asking
from forensics.identity.tensors import Identity
from forensics.media.audio import Limits
from forensics.media.image import ImageLimits
from forensics.verdict.case import Case
from forensics.verdict.face_judge import FaceJudge
from forensics.verdict.face_panel import Panel
from forensics.verdict.image_judge import ImageJudge, Show
from forensics.verdict.loading import (
    DEFAULT_DETECTOR,
    DEFAULT_IMAGE_DETECTOR,
    default_face_detector,
    load_detector,
    resolve_detector,
)
from forensics.verdict.opening import Opener, Pictures
from forensics.verdict.schema import Verdict
from forensics.verdict.sources import Judgeable, Source, sources
from forensics.verdict.speech import SpeechConfig
from forensics.verdict.speech_judge import SpeechJudge

if TYPE_CHECKING:
    from forensics.detectors.base import SpeechDetector
    from forensics.detectors.image.base import ImageDetector

__all__ = ["detect", "detect_iter", "load_detector"]

FRAMES = 16


def detect(
    inputs: Judgeable | Iterable[Judgeable],
    detector: str | Path | SpeechDetector | ImageDetector | None = None,
    *,
    weights: str | Path | None = None,
    config: SpeechConfig | None = None,
    limits: Limits | None = None,
    image_limits: ImageLimits | None = None,
    frames: int = FRAMES,
    batch_size: int = 16,
    device: str = "cpu",
    threads: int | None = None,
    explain: bool = True,
    show: Show | None = None,
    identity: str | Identity | Sequence[str | Identity] | None = None,
    asking: Asking | None = None,
) -> list[Verdict]:
    """Judge files: are they genuine or manipulated?

    Args:
        inputs: one or many of: a path, folder, glob or `-`; the bytes of a file; a `Waveform` or
            a (samples, sampling rate) pair with samples in [-1, 1] or integer PCM; uint8
            (H, W, 3) RGB pixels or a `Picture`; a `FrameSet`, for one verdict on several pictures.
        detector: a shipped or registered name, a weights folder, or a loaded detector; inputs of
            another modality than its own get `not_applicable`. None takes `speech-default` for
            audio and `image-default` for pictures and the frames of videos.
        weights: the weights folder of a registered name.
        config: how speech is cut into windows, and what is too little of it.
        limits: what one recording may cost; image_limits: one picture.
        frames: that many of a video or of a `FrameSet` are judged, evenly spread.
        batch_size: windows scored at once, over all files; results do not depend on it.
        device: where to compute, e.g. "cuda"; a loaded detector stays where it is.
        threads: CPU threads of a detector that is not loaded yet; see `load_detector`.
        explain: say what the detector looked at, which some can at the cost of one more window.
        show: called with each verdict on pictures, the pixels and the heatmap as soon as they are
            judged; they are not kept.
        identity: names of enrolled people: does a picture show one of them, and is it genuine?
            Who was enrolled with a model is judged by their tokens, all others by `detector`: by
            default `face-default` where it is here, else `image-default`.
        asking: where these people lie, and what compares them.

    Returns:
        One verdict a file, in order. A file that cannot be judged, for whatever reason, gets
        `not_applicable` with a reason code and never stops the others.

    Raises:
        MissingRequirement: there are no weights.
        UsageError: no such detector, or something that is no input.
        CorpusError: weights that do not match their pinned hash.
    """
    return list(
        detect_iter(
            inputs,
            detector,
            weights=weights,
            config=config,
            limits=limits,
            image_limits=image_limits,
            frames=frames,
            batch_size=batch_size,
            device=device,
            threads=threads,
            explain=explain,
            show=show,
            identity=identity,
            asking=asking,
        )
    )


def detect_iter(
    inputs: Judgeable | Iterable[Judgeable],
    detector: str | Path | SpeechDetector | ImageDetector | None = None,
    *,
    weights: str | Path | None = None,
    config: SpeechConfig | None = None,
    limits: Limits | None = None,
    image_limits: ImageLimits | None = None,
    frames: int = FRAMES,
    batch_size: int = 16,
    device: str = "cpu",
    threads: int | None = None,
    explain: bool = True,
    show: Show | None = None,
    identity: str | Identity | Sequence[str | Identity] | None = None,
    asking: Asking | None = None,
) -> Iterator[Verdict]:
    """As `detect`, one verdict after the other as soon as a batch is scored; for long streams.

    The weights of a detector that is named are looked for at once, but loaded only when an input
    proves to be of its modality.
    """
    images: ImageJudge | FaceJudge | None = None
    speech = None
    if identity is not None:
        panel = _panel(identity, asking or Asking(), detector, weights, device, threads)
        images, judged = FaceJudge(panel, batch_size, explain, show), frozenset({"image"})
    else:
        loads = _loads(detector, weights, device, threads)
        judged = frozenset(loads)
        if "speech" in loads:
            speech = SpeechJudge(loads["speech"], config or SpeechConfig(), batch_size, explain)
        if "image" in loads:
            images = ImageJudge(loads["image"], show, explain)
    opener = Opener(limits or Limits(), image_limits or ImageLimits(), frames, judged)
    return _House(opener, speech, images).run(sources(inputs))


def _panel(
    identity: str | Identity | Sequence[str | Identity],
    asking: Asking,
    detector: str | Path | SpeechDetector | ImageDetector | None,
    weights: str | Path | None,
    device: str,
    threads: int | None,
) -> Panel:
    """The people asked for, and who judges them."""
    people = asking.people([identity] if isinstance(identity, str | Identity) else identity)
    model, tools = asking.model_of(people, device), asking.tools(people)
    if detector is None and weights is None:
        detector = default_face_detector()
    loads = _loads(detector, weights, device, threads)
    if "image" not in loads:
        raise UsageError("people are recognised in pictures, and the detector judges speech", None)
    return Panel(people, tools, model, loads["image"])


def _loads(
    detector: str | Path | SpeechDetector | ImageDetector | None,
    weights: str | Path | None,
    device: str,
    threads: int | None,
) -> dict[str, Callable[[], Any]]:
    """By modality, what gives the detector."""

    def once(name: str | Path) -> Callable[[], Any]:
        return cache(lambda: resolve_detector(name).load(device, threads))

    if detector is None and weights is None:
        return {"speech": once(DEFAULT_DETECTOR), "image": once(DEFAULT_IMAGE_DETECTOR)}
    if detector is None:
        detector = DEFAULT_DETECTOR  # the weights say whose they are
    if isinstance(detector, str | Path):
        spec = resolve_detector(detector, weights)
        return {spec.modality: cache(partial(spec.load, device, threads))}
    return {detector.modality: lambda: detector}


class _House:
    """Opens inputs in order, gives each to the judge of its modality, answers in order."""

    def __init__(
        self, opener: Opener, speech: SpeechJudge | None, images: ImageJudge | FaceJudge | None
    ):
        self._opener, self._speech, self._images = opener, speech, images
        self._queue: deque[Case] = deque()

    def run(self, inputs: Iterator[Source]) -> Iterator[Verdict]:
        for index, source in enumerate(inputs):
            case = Case(source, index)
            self._queue.append(case)
            self._take(case)
            yield from self._answers()
        if self._speech is not None:
            self._speech.finish()
        if isinstance(self._images, FaceJudge):
            self._images.finish()
        yield from self._answers()

    def _take(self, case: Case) -> None:
        with ExitStack() as opened:
            try:
                content = self._opener.open(case, opened)
            except Exception as error:
                case.fail(error)
                return
            if not isinstance(content, Pictures):
                assert self._speech is not None  # else it would not have been opened
                self._speech.hear(case, content)
                return
            assert self._images is not None
            if self._speech is not None:
                self._speech.finish()  # verdicts on pictures need not wait for a batch to fill
            if content.one is not None:
                self._images.see(case, content.one)
            else:
                self._images.watch(case, content.frames)

    def _answers(self) -> Iterator[Verdict]:
        """The verdicts at the head of the queue that are settled."""
        while self._queue and self._queue[0].settled:
            yield self._queue.popleft().verdict()
