"""Pictures → findings → scores and counts, through the detectors that `forensics detect` runs."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, field, fields
from itertools import islice
from pathlib import Path

import numpy as np

from forensics.detectors.image.base import Finding
from forensics.errors import MediaError, UsageError
from forensics.evaluation.clips import Media
from forensics.evaluation.images.contenders import PictureContender
from forensics.evaluation.images.log import Noted, PictureLog
from forensics.evaluation.images.pictures import Marked, PictureSet
from forensics.evaluation.images.pixels import (
    PixelFigures,
    counts_of,
    figures_of,
    packed,
    unpacked,
)
from forensics.evaluation.images.sweep import degraded
from forensics.evaluation.pool import in_processes
from forensics.evaluation.scoring import Unjudged
from forensics.evaluation.sweep import CLEAN
from forensics.media.image import ImageLimits, Picture, read_image, read_mask
from forensics.media.raw import RawFile
from forensics.progress import Progress

_CHUNK = 2  # pictures that a worker gets at once
COLUMNS = tuple(one.name for one in fields(PixelFigures))

Pair = tuple[int, str]
"""A detector's place and a condition."""


@dataclass
class Judged:
    """One detector under one condition.

    Attributes:
        raw: float64 (N,), NaN where there is no score.
        figures: float64 (N, 5), the columns of `COLUMNS`; NaN where there are none.
        counts: of the clean pictures (others are reduced at once): `pixels.packed`, or None.
        problems: place → why this detector cannot judge that picture.
    """

    raw: np.ndarray
    figures: np.ndarray
    counts: list[str | None] = field(default_factory=list)
    problems: dict[int, str] = field(default_factory=dict)

    @classmethod
    def none_of(cls, count: int) -> Judged:
        return cls(np.full(count, np.nan), np.full((count, len(COLUMNS)), np.nan), [None] * count)


@dataclass(frozen=True)
class Judgements:
    """What detectors said of pictures.

    Attributes:
        of: (detector's label, condition) → what it said.
        area: float64 (N,): share of the picture that its mask marks; NaN where nobody knows.
        failed: what could not be read or computed.
    """

    of: dict[tuple[str, str], Judged]
    area: np.ndarray
    failed: tuple[Unjudged, ...]


@dataclass(frozen=True)
class _Job:
    """One picture, and the findings that it lacks. Hashes are None of what cannot be read."""

    place: int
    is_bonafide: bool
    marked: Marked
    sha256: str | None
    mask: str | None
    wanted: tuple[Pair, ...]


@dataclass(frozen=True)
class _Result:
    """`noted` is None when it failed, and `reason` and `message` say why."""

    job: _Job
    detector: int
    condition: str
    noted: Noted | None
    reason: str = ""
    message: str = ""


def score_pictures(
    detectors: Sequence[PictureContender],
    pictures: PictureSet,
    conditions: Sequence[str],
    *,
    log: Path | None = None,
    workers: int = 1,
    device: str = "cpu",
) -> Judgements:
    """Judge all pictures by all detectors under all conditions (baselines: the clean ones).

    One picture a worker is in memory, and of each finding 256 counts.

    Args:
        conditions: `clean` first.
        log: JSONL that finished findings are appended to and taken from.

    Raises:
        UsageError: several workers for a detector that is loaded already.
        CorpusError: a shard or the log is damaged.
        MachineError: a worker died, the log cannot be written.
    """
    count = len(pictures.clips)
    labels = [detector.label for detector in detectors]
    pairs = [
        (number, condition)
        for number, detector in enumerate(detectors)
        for condition in ((CLEAN,) if detector.baseline else conditions)
    ]
    of = {(labels[number], name): Judged.none_of(count) for number, name in pairs}
    area = np.full(count, np.nan)
    failed: list[_Result] = []

    def keep(place: int, pair: Pair, noted: Noted) -> None:
        judged = of[labels[pair[0]], pair[1]]
        judged.raw[place] = noted.raw
        if noted.problem is not None:
            judged.problems[place] = noted.problem
        if noted.counts is not None:
            judged.figures[place] = astuple(figures_of(unpacked(noted.counts)))
            if pair[1] == CLEAN:
                judged.counts[place] = noted.counts
        if pair[1] == CLEAN and noted.area is not None:
            area[place] = noted.area

    with (
        PictureLog(log, detectors, conditions) as store,
        Progress(count * len(pairs), "judging", "findings") as progress,
    ):

        def jobs() -> Iterator[_Job]:
            for place, marked in pictures.read(range(count)):
                sha256, mask = _hash(marked.picture), _hash(marked.mask)
                wanted = []
                for pair in pairs:
                    known = None if None in (sha256, mask) else store.get(sha256, mask, *pair)  # pyright: ignore[reportArgumentType]
                    if known is None:
                        wanted.append(pair)
                    else:
                        keep(place, pair, known)
                        progress.advance()
                if wanted:
                    real = pictures.clips[place].is_bonafide
                    yield _Job(place, real, marked, sha256, mask, tuple(wanted))

        for results in _run(jobs(), detectors, workers, device):
            store.add(
                (r.job.sha256, r.job.mask, r.detector, r.condition, r.noted)
                for r in results
                if r.noted is not None and r.job.sha256 is not None and r.job.mask is not None
            )
            for one in results:
                if one.noted is None:
                    failed.append(one)
                else:
                    keep(one.job.place, (one.detector, one.condition), one.noted)
            progress.advance(len(results))
    failed.sort(key=lambda r: (r.job.place, r.detector, list(conditions).index(r.condition)))
    keys = [clip.key for clip in pictures.clips]
    unjudged = [
        Unjudged(keys[r.job.place], labels[r.detector], r.condition, r.reason, r.message)
        for r in failed
    ]
    return Judgements(of, area, tuple(unjudged))


def _hash(media: Media | None) -> str | None:
    """ "" of no media, None of media that cannot be read: judging it says why."""
    if media is None:
        return ""
    if isinstance(media, bytes):
        return hashlib.sha256(media).hexdigest()
    try:
        with RawFile(media, ImageLimits().max_bytes) as raw:
            return raw.sha256()
    except MediaError:
        return None


def _run(
    jobs: Iterator[_Job], detectors: Sequence[PictureContender], workers: int, device: str
) -> Iterable[list[_Result]]:
    chunks = iter(lambda: list(islice(jobs, _CHUNK)), [])
    if workers == 1:
        scorer = _Scorer(detectors, device)
        return map(scorer.score, chunks)
    if any(one.spec is None and not one.baseline for one in detectors):
        raise UsageError("a loaded detector scores in one process", "name its weights folder")
    return in_processes(chunks, workers, _score, _start, list(detectors), device)


_scorer: _Scorer | None = None  # of a worker process


def _start(detectors: list[PictureContender], device: str) -> None:
    global _scorer
    _scorer = _Scorer(detectors, device)


def _score(jobs: list[_Job]) -> list[_Result]:
    assert _scorer is not None  # the pool's initializer ran
    return _scorer.score(jobs)


class _Scorer:
    """Judges pictures; detectors are loaded once."""

    def __init__(self, detectors: Sequence[PictureContender], device: str):
        self._detectors = [detector.load(device) for detector in detectors]

    def score(self, jobs: list[_Job]) -> list[_Result]:
        return [result for job in jobs for result in self._judge(job)]

    def _judge(self, job: _Job) -> Iterator[_Result]:
        try:
            picture = read_image(job.marked.picture)
            size = picture.pixels.shape[:2]
            mask = None if job.marked.mask is None else read_mask(job.marked.mask, size)
        except Exception as error:
            reason, message = _told(error)
            for number, condition in job.wanted:
                yield _Result(job, number, condition, None, reason, message)
            return
        for condition in dict.fromkeys(name for _, name in job.wanted):
            numbers = [number for number, name in job.wanted if name == condition]
            yield from self._under(condition, numbers, job, picture, mask)

    def _under(
        self,
        condition: str,
        numbers: Sequence[int],
        job: _Job,
        picture: Picture,
        mask: np.ndarray | None,
    ) -> Iterator[_Result]:
        problem = None
        try:
            if condition != CLEAN:
                picture, mask = degraded(picture, mask, job.sha256 or "", condition)
        except Exception as error:
            problem = _told(error)
        for number in numbers:
            if problem is not None:
                yield _Result(job, number, condition, None, *problem)
                continue
            try:
                noted = _noted(self._detectors[number].examine(picture), job, picture, mask)
                yield _Result(job, number, condition, noted)
            except Exception as error:  # as in a verdict: one picture never ends the run
                yield _Result(job, number, condition, None, *_told(error))


def _noted(finding: Finding, job: _Job, picture: Picture, mask: np.ndarray | None) -> Noted:
    """What is kept of a finding.

    Raises:
        ValueError: it breaks the detector's contract.
    """
    score = math.nan if finding.score is None else float(finding.score)
    if (finding.score is None) == (finding.not_applicable is None):
        raise ValueError("neither or both of a score and a reason for none")
    if math.isinf(score) or (finding.score is not None and math.isnan(score)):
        raise ValueError("a score that is not finite")
    size = picture.pixels.shape[:2]
    if finding.heatmap is not None and finding.heatmap.shape != size:
        raise ValueError(f"a heatmap of {finding.heatmap.shape} for a picture of {size}")
    held = mask is not None or job.is_bonafide
    counts = None
    if finding.heatmap is not None and held and finding.score is not None:
        counts = packed(counts_of(finding.heatmap, mask))
    area = float(mask.mean()) if mask is not None else 0.0 if job.is_bonafide else None
    return Noted(score, finding.not_applicable, counts, area)


def _told(error: Exception) -> tuple[str, str]:
    if isinstance(error, MediaError):
        return error.reason, str(error)
    return "internal_error", f"{type(error).__name__}: {error}"
