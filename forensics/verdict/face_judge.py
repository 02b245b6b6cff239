"""Pictures on their way to a verdict on who is in them: in batches, one by one answered."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from forensics.errors import MediaError
from forensics.media.image import Picture
from forensics.verdict.case import NO_CREDENTIALS, Case, told
from forensics.verdict.face_entries import (
    face_entries,
    face_regions,
    face_results,
    limits_of,
)
from forensics.verdict.face_panel import Look, Panel
from forensics.verdict.face_tally import Ruling, Tally
from forensics.verdict.face_words import side_argued, written
from forensics.verdict.image_entries import shown_heat
from forensics.verdict.image_judge import (
    Frame,
    Ruled,
    Seen,
    Show,
    detector_limits,
    picture_provenance,
    sized,
    skipped,
)
from forensics.verdict.schema import Explanation, Verdict

_MAX_PIXELS = 64_000_000  # that wait for a batch to fill


@dataclass(frozen=True)
class Waiting:
    """A picture waits until its batch is full."""

    settled: bool = False

    def verdict(self, case: Case) -> Verdict:
        raise RuntimeError("the batch was not judged")


class FaceJudge:
    """Judges pictures with people in mind.

    Args:
        batch_size: pictures judged at once; results do not depend on it.
        explain: have a vision-language model write about its verdicts.
        show: gets the pixels of each judged picture.
    """

    def __init__(self, panel: Panel, batch_size: int, explain: bool, show: Show | None):
        self._panel, self._batch_size = panel, batch_size
        self._explain, self._show = explain, show
        self._waiting: list[tuple[Case, Look]] = []

    def see(self, case: Case, picture: Picture) -> None:
        """Take one picture; its verdict is there when the batch is."""
        case.provenance = picture_provenance(picture)
        case.input = sized(case.input, picture).model_copy(update={"format": picture.format})
        look = self._looked(case, Frame(None, None, picture), picture)
        if look is None:
            return
        case.work = Waiting()
        self._waiting.append((case, look))
        pixels = sum(one.pixels.size // 3 for _, one in self._waiting)
        if len(self._waiting) >= self._batch_size or pixels > _MAX_PIXELS:
            self.finish()

    def finish(self) -> None:
        """Judge what waits."""
        waiting, self._waiting = self._waiting, []
        self._judge([look for _, look in waiting], [case for case, _ in waiting])
        for case, look in waiting:
            if look.failure is not None:
                case.fail(look.failure)
                continue
            tally = Tally(self._panel.people)
            tally.add(look)
            self._conclude(case, tally, "image")

    def watch(self, case: Case, frames: Iterable[Frame]) -> None:
        """Judge frames together; those that cannot be judged are listed and do not count."""
        self.finish()
        tally, waiting = Tally(self._panel.people), self._frames(case, frames)
        while case.failure is None and (some := list(islice(waiting, self._batch_size))):
            looks = [look for _, look in some if look is not None]
            self._judge(looks, [case] * len(looks))
            failed = next((look.failure for look in looks if look.failure is not None), None)
            if failed is not None:
                case.fail(failed)
                return
            for frame, look in some:
                if look is not None:
                    tally.add(look)
                elif isinstance(frame.picture, MediaError):
                    why = told(frame.picture, frame.name or case.source.name)
                    tally.unreadable(frame.name, frame.time_s, why)
        if case.failure is None:
            self._conclude(case, tally, "video")

    def _frames(self, case: Case, frames: Iterable[Frame]) -> Iterator[tuple[Frame, Look | None]]:
        opened = iter(frames)
        while case.failure is None:
            start = time.perf_counter()
            try:
                frame = next(opened, None)
            except Exception as error:
                case.fail(error)
                return
            finally:
                case.decode_s += time.perf_counter() - start
            if frame is None:
                return
            picture = frame.picture
            yield (
                frame,
                self._looked(case, frame, picture) if isinstance(picture, Picture) else None,
            )

    def _looked(self, case: Case, frame: Frame, picture: Picture) -> Look | None:
        start = time.perf_counter()
        try:
            return self._panel.look(picture, frame.name, frame.time_s)
        except Exception as error:
            case.fail(error)
            return None
        finally:
            case.score_s += time.perf_counter() - start

    def _judge(self, looks: list[Look], cases: list[Case]) -> None:
        start = time.perf_counter()
        self._panel.judge(looks)
        for case in cases:
            case.score_s += (time.perf_counter() - start) / len(cases)

    def _conclude(self, case: Case, tally: Tally, modality: Literal["image", "video"]) -> None:
        try:
            ruling = tally.rule(modality)
            verdict = self._verdict(case, tally, ruling, modality)
            words = self._words(ruling)
        except Exception as error:  # what a detector says does not fit the schema
            case.fail(error)
            return
        if words is not None:
            verdict = verdict.model_copy(update={"explanation": words})
        case.work = Ruled(verdict)
        if self._show is not None and ruling.shown is not None:
            self._show(verdict, self._seen(case, verdict, ruling.shown, ruling.face))

    def _verdict(
        self, case: Case, tally: Tally, ruling: Ruling, modality: Literal["image", "video"]
    ) -> Verdict:
        panel, decision, votes, look = self._panel, ruling.decision, ruling.votes, ruling.shown
        frames = tally.frames(votes) if modality == "video" else ()
        if look is not None and modality == "video":
            case.input = sized(case.input, look.picture)
        people = panel.people if ruling.person is None else (panel.people[ruling.person],)
        by_detector = votes is not None and look is not None and _has_finding(look, ruling.face)
        return Verdict(
            label=decision.label,
            p_manipulated=decision.p_manipulated,
            llr=None if votes is None else votes.llr(votes.raw()),
            reason=decision.reason,
            message=decision.message,
            threshold=None if votes is None else votes.threshold,
            detectors=()
            if look is None
            else face_entries(panel, look, ruling.person, ruling.face, decision.label),
            regions=() if look is None else face_regions(look, ruling.face, decision.label),
            frames=frames,
            faces=() if look is None else face_results(look, panel.people),
            not_run=(
                *case.not_run,
                *skipped(frames),
                *limits_of(panel, people),
                *(detector_limits(panel.detector()) if by_detector else ()),
                NO_CREDENTIALS,
            ),
            **case.common(),
        )

    def _words(self, ruling: Ruling) -> Explanation | None:
        """Words about a verdict that stands."""
        look, face, votes = ruling.shown, ruling.face, ruling.votes
        if not self._explain or look is None or face is None or votes is None:
            return None
        genuine = side_argued(ruling.decision.label, votes.raw())
        return written(lambda: self._panel.explain(look, face, genuine), genuine)

    @staticmethod
    def _seen(case: Case, verdict: Verdict, look: Look, face: int | None) -> Seen:
        opinion = look.opinion(face)
        heatmap = None
        told = verdict.label != "not_applicable"
        if told and opinion is not None and opinion.finding is not None:
            heatmap = shown_heat(opinion.finding, look.picture)
        return Seen(case.index, look.pixels, heatmap, verdict.regions)


def _has_finding(look: Look, face: int | None) -> bool:
    opinion = look.opinion(face)
    return opinion is not None and opinion.finding is not None
