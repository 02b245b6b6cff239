"""Pictures on their way to a verdict: one by one, or the frames of a video together."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from forensics.errors import MediaError
from forensics.media.image import Picture
from forensics.verdict.case import NO_CREDENTIALS, Case, tags_of, told
from forensics.verdict.decision import Decision, calibrated, decide, p_manipulated
from forensics.verdict.face_words import side_argued, written
from forensics.verdict.image_entries import entries, found_faces, shown_heat, shown_regions
from forensics.verdict.schema import FrameResult, Input, Region, Verdict

if TYPE_CHECKING:
    from forensics.detectors.image.base import Finding, ImageDetector


@dataclass(frozen=True)
class Seen:
    """A judged picture for people, as viewers show it; of a video the most suspect frame.

    Attributes:
        index: which input it is of, counted from 0.
        pixels: uint8 (H, W, 3) RGB.
        heatmap: uint8 (H, W), 255 = manipulated, where the detector draws one.
        regions: as in the verdict.
    """

    index: int
    pixels: np.ndarray
    heatmap: np.ndarray | None
    regions: tuple[Region, ...]


Show = Callable[[Verdict, Seen], None]


@dataclass(frozen=True)
class Frame:
    """One frame of several: a picture, or why there is none."""

    name: str | None
    time_s: float | None
    picture: Picture | MediaError


@dataclass(frozen=True)
class Ruled:
    """The work on a picture is one step, and its verdict is there at once."""

    ruling: Verdict
    settled: bool = True

    def verdict(self, case: Case) -> Verdict:
        return self.ruling


class ImageJudge:
    """Judges pictures as they come; nothing of a picture stays in memory but its verdict.

    Args:
        load: gives the detector, the same at every call; its failure ends the whole run.
        show: gets the pixels and the heatmap of each judged picture.
        explain: have a detector that can write say something about its verdicts.
    """

    def __init__(self, load: Callable[[], ImageDetector], show: Show | None, explain: bool = True):
        self._load, self._show, self._explain = load, show, explain

    def see(self, case: Case, picture: Picture) -> None:
        """Judge one picture."""
        detector = self._load()
        case.provenance = picture_provenance(picture)
        case.input = sized(case.input, picture).model_copy(update={"format": picture.format})
        finding = self._examined(case, detector, picture)
        if finding is not None:
            decision, llr = _decided(detector, finding.score, finding.not_applicable)
            self._rule(case, detector, decision, llr, (finding, picture), ())

    def watch(self, case: Case, frames: Iterable[Frame]) -> None:
        """Judge frames together; those that cannot be judged are listed and do not count.

        Args:
            frames: read as they are needed; a `MediaError` while reading fails the case.
        """
        detector = self._load()
        results: list[FrameResult] = []
        suspect: tuple[Finding, Picture] | None = None
        waiting = iter(frames)
        while case.failure is None:
            frame = self._next(case, waiting)
            if frame is None:
                break
            if isinstance(frame.picture, MediaError):
                why = told(frame.picture, frame.name or case.source.name)
                results.append(FrameResult(name=frame.name, not_applicable=why))
                continue
            finding = self._examined(case, detector, frame.picture)
            if finding is None:
                return
            results.append(_result(detector, frame, finding, frame.picture))
            if finding.score is not None and (
                suspect is None or finding.score < (suspect[0].score or 0.0)
            ):
                suspect = finding, frame.picture
        if case.failure is None:
            self._conclude(case, detector, tuple(results), suspect)

    def _next(self, case: Case, frames: Any) -> Frame | None:
        start = time.perf_counter()
        try:
            return next(frames, None)
        except Exception as error:
            case.fail(error)
            return None
        finally:
            case.decode_s += time.perf_counter() - start

    def _conclude(
        self,
        case: Case,
        detector: ImageDetector,
        results: tuple[FrameResult, ...],
        suspect: tuple[Finding, Picture] | None,
    ) -> None:
        if suspect is None:
            reasons = dict.fromkeys(r.not_applicable for r in results if r.not_applicable)
            why = next(iter(reasons), "there are no frames")
            case.fail(MediaError("unsuitable", f"none of {len(results)} frames was judged: {why}"))
            return
        case.input = sized(case.input, suspect[1])
        raw = middle([r.raw for r in results if r.raw is not None])
        decision, llr = _decided(detector, raw, None, case.modality or "video")
        case.not_run = (*case.not_run, *skipped(results))
        self._rule(case, detector, _agreed(decision, results, detector), llr, suspect, results)

    def _examined(self, case: Case, detector: ImageDetector, picture: Picture) -> Finding | None:
        start = time.perf_counter()
        try:
            finding = detector.examine(picture)
            _check(finding, picture, detector.name)
        except Exception as error:
            case.fail(error)
            return None
        finally:
            case.score_s += time.perf_counter() - start
        return finding

    def _rule(
        self,
        case: Case,
        detector: ImageDetector,
        decision: Decision,
        llr: float | None,
        judged: tuple[Finding, Picture],
        frames: tuple[FrameResult, ...],
    ) -> None:
        finding, picture = judged
        try:
            verdict = Verdict(
                label=decision.label,
                p_manipulated=decision.p_manipulated,
                llr=llr,
                reason=decision.reason,
                message=decision.message,
                threshold=detector.known.threshold,
                detectors=entries(detector, finding, picture),
                regions=shown_regions(finding, picture),
                frames=frames,
                faces=found_faces(finding),
                not_run=(*case.not_run, *detector_limits(detector), NO_CREDENTIALS),
                **case.common(),
            )
        except Exception as error:  # what a detector says does not fit the schema
            case.fail(error)
            return
        if self._explain and finding.score is not None:
            genuine = side_argued(verdict.label, finding.score)
            words = written(lambda: detector.explain(picture, finding, genuine), genuine)
            verdict = verdict.model_copy(update={"explanation": words})
        case.work = Ruled(verdict)
        if self._show is not None:
            heatmap = shown_heat(finding, picture)
            pixels = picture.upright(picture.pixels)
            self._show(verdict, Seen(case.index, pixels, heatmap, verdict.regions))


def middle(scores: list[float]) -> float:
    """What several frames say together: the median, of an even number the milder of the two.

    A median is an alarm only when more than half of the frames are. By Markov's inequality that
    happens to genuine videos at most twice as often as to a genuine frame, however alike their
    frames are; the worst frame of N would be one up to N times as often.
    """
    return sorted(scores)[len(scores) // 2]


def picture_provenance(picture: Picture) -> dict[str, Any]:
    """What the file says of its own making: shown, never scored."""
    found: dict[str, Any] = {"tags": tags_of(picture.exif), "notes": list(picture.notes)}
    if picture.quantisation:
        from forensics.media.image_facts import estimate_quality

        quality = estimate_quality(picture.quantisation)
        found["jpeg"] = {"quality": quality, "subsampling": picture.subsampling}
    return found


def sized(known: Input, picture: Picture) -> Input:
    """With the size of the picture as viewers show it."""
    sides = picture.width, picture.height
    width, height = sides if picture.orientation < 5 else sides[::-1]
    return known.model_copy(update={"width": width, "height": height})


def _decided(
    detector: ImageDetector, raw: float | None, problem: str | None, modality: str = "image"
) -> tuple[Decision, float | None]:
    if raw is None:
        message = f"{detector.name} cannot judge this picture: {problem}"
        return Decision("not_applicable", None, "unsuitable", message), None
    llr = calibrated(raw, detector.known.calibration)
    return decide(llr, detector.known.threshold, modality), llr


def _agreed(
    decision: Decision, results: tuple[FrameResult, ...], detector: ImageDetector
) -> Decision:
    """Nothing is vouched for while one of its frames is an alarm."""
    threshold = detector.known.threshold
    if decision.label != "bonafide" or threshold is None:
        return decision
    p = [r.p_manipulated for r in results if r.p_manipulated is not None]
    alarms = sum(one > threshold.manipulated_above for one in p)
    if not alarms:
        return decision
    message = f"the median frame is below the threshold, but {alarms} of {len(p)} are alarms"
    return Decision("uncertain", decision.p_manipulated, "frames_disagree", message)


def _result(
    detector: ImageDetector, frame: Frame, finding: Finding, picture: Picture
) -> FrameResult:
    known = detector.known
    llr = None if finding.score is None else calibrated(finding.score, known.calibration)
    return FrameResult(
        name=frame.name,
        time_s=frame.time_s,
        raw=finding.score,
        llr=llr,
        p_manipulated=None if llr is None else p_manipulated(llr),
        not_applicable=finding.not_applicable,
        regions=shown_regions(finding, picture),
    )


def skipped(results: tuple[FrameResult, ...]) -> tuple[str, ...]:
    """How many frames do not count."""
    count = sum(result.not_applicable is not None for result in results)
    return (f"frames: {count} of {len(results)} could not be judged",) if count else ()


def _check(finding: Finding, picture: Picture, name: str) -> None:
    """A detector that breaks its contract is a bug, told before it reaches a verdict."""
    if (finding.score is None) == (finding.not_applicable is None):
        raise ValueError(f"{name} gave neither or both of a score and a reason for none")
    if finding.score is not None and not np.isfinite(finding.score):
        raise ValueError(f"{name} gave a score that is not finite")
    size = picture.pixels.shape[:2]
    for kind, plane in (("heatmap", finding.heatmap), ("mask", finding.mask)):
        if plane is not None and plane.shape != size:
            raise ValueError(f"{name} gave a {kind} of shape {plane.shape}, not {size}")


def detector_limits(detector: ImageDetector) -> tuple[str, ...]:
    """What the detector is known not to do."""
    limits = detector.known.limits
    return (f"limits of {detector.name}: {limits}",) if limits else ()
