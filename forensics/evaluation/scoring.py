"""Clips → raw scores, through the very path that `forensics detect` takes.

Every clip is judged whole: the same decoding, windows and pooling as a verdict has. Scores that an
earlier run left in the log are not computed again.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from forensics.errors import MediaError, UsageError
from forensics.evaluation.clips import ClipSet, Media
from forensics.evaluation.contenders import Contender
from forensics.evaluation.pool import in_processes
from forensics.evaluation.score_log import ScoreLog
from forensics.evaluation.sweep import CLEAN, checked_conditions, degraded
from forensics.media.audio import Limits, Waveform
from forensics.media.inputs import InputItem
from forensics.media.raw import RawFile
from forensics.progress import Progress
from forensics.verdict.detect import detect_iter

_CHUNK = 8  # clips that a worker gets at once

Pair = tuple[int, str]
"""A detector's place and a condition."""


@dataclass(frozen=True)
class Unjudged:
    """One score that could not be had. `reason` is a code of the verdict's."""

    key: str
    detector: str
    condition: str
    reason: str
    message: str


@dataclass(frozen=True)
class RawScores:
    """What detectors gave to clips.

    Attributes:
        raw: (detector's label, condition) → float64 (clips,), NaN where there is no score.
        unjudged: one entry for each NaN.
    """

    raw: dict[tuple[str, str], np.ndarray]
    unjudged: tuple[Unjudged, ...]


@dataclass(frozen=True)
class _Job:
    """One clip, and the scores that it lacks."""

    place: int
    key: str
    media: Media
    sha256: str | None
    wanted: tuple[Pair, ...]


@dataclass(frozen=True)
class _Result:
    """`raw` is NaN where there is no score, and `reason` and `message` say why."""

    place: int
    detector: int
    condition: str
    sha256: str | None
    raw: float
    reason: str
    message: str


def score_clips(
    detectors: Sequence[Contender],
    clips: ClipSet,
    conditions: Sequence[str] = (CLEAN,),
    *,
    log: Path | None = None,
    workers: int = 1,
    batch_size: int = 16,
    device: str = "cpu",
) -> RawScores:
    """Judge all clips by all detectors under all conditions.

    Args:
        conditions: names of `sweep.SWEEP`; `clean` is always among them.
        log: JSONL that finished scores are appended to and taken from; failures are not kept, so
            that another run tries them again.
        workers: processes that score; 1 scores in this one.
        batch_size: windows scored at once.
        device: where detectors that are not loaded yet compute.

    Raises:
        UsageError: no such condition; several workers for a detector that is loaded already.
        CorpusError: a shard or the log is damaged.
        MachineError: a worker died, the log cannot be written.
    """
    wanted = checked_conditions(conditions)
    labels = [detector.label for detector in detectors]
    raw = {(label, name): np.full(len(clips.clips), np.nan) for label in labels for name in wanted}
    failed: list[_Result] = []
    with ScoreLog(log, detectors, wanted) as store:
        hashes = _hashes(clips) if len(store) else [clip.sha256 for clip in clips.clips]
        pairs = [(number, condition) for number in range(len(labels)) for condition in wanted]
        lacking: dict[int, tuple[Pair, ...]] = {}
        for place, sha256 in enumerate(hashes):
            for number, condition in pairs:
                raw[labels[number], condition][place] = store.get(sha256, number, condition)
            left = [one for one in pairs if np.isnan(raw[labels[one[0]], one[1]][place])]
            if left:
                lacking[place] = tuple(left)
        jobs = (
            _Job(place, clips.clips[place].key, media, hashes[place], lacking[place])
            for place, media in clips.read(list(lacking))
        )
        with Progress(sum(map(len, lacking.values())), "scoring", "scores") as progress:
            for results in _run(jobs, detectors, workers, batch_size, device):
                store.add([(r.sha256, r.detector, r.condition, r.raw) for r in results])
                for one in results:
                    raw[labels[one.detector], one.condition][one.place] = one.raw
                failed += [one for one in results if np.isnan(one.raw)]
                progress.advance(len(results))
    failed.sort(key=lambda one: (one.place, one.detector, wanted.index(one.condition)))
    unjudged = [
        Unjudged(clips.clips[r.place].key, labels[r.detector], r.condition, r.reason, r.message)
        for r in failed
    ]
    return RawScores(raw, tuple(unjudged))


def _hashes(clips: ClipSet) -> list[str | None]:
    """The SHA-256 of every clip; None for one that cannot be read."""
    hashes = [clip.sha256 for clip in clips.clips]
    unknown = [place for place, sha256 in enumerate(hashes) if sha256 is None]
    if not unknown:
        return hashes
    with Progress(len(unknown), "looking for finished scores", "clips") as progress:
        for place, media in clips.read(unknown):
            try:
                hashes[place] = _hash(media)
            except MediaError:
                hashes[place] = None
            progress.advance()
    return hashes


def _hash(media: Media) -> str:
    if isinstance(media, bytes):
        return hashlib.sha256(media).hexdigest()
    with RawFile(media, Limits().max_bytes) as raw:
        return raw.sha256()


def _run(
    jobs: Iterator[_Job],
    detectors: Sequence[Contender],
    workers: int,
    batch_size: int,
    device: str,
) -> Iterable[list[_Result]]:
    chunks = iter(lambda: list(islice(jobs, _CHUNK)), [])
    if workers == 1:
        scorer = _Scorer(detectors, batch_size, device)
        return map(scorer.score, chunks)
    if any(detector.spec is None for detector in detectors):
        raise UsageError("a loaded detector scores in one process", "name its weights folder")
    return in_processes(chunks, workers, _score, _start, list(detectors), batch_size, device)


_scorer: _Scorer | None = None  # of a worker process


def _start(detectors: list[Contender], batch_size: int, device: str) -> None:
    global _scorer
    _scorer = _Scorer(detectors, batch_size, device)


def _score(jobs: list[_Job]) -> list[_Result]:
    assert _scorer is not None  # the pool's initializer ran
    return _scorer.score(jobs)


class _Scorer:
    """Scores chunks of clips; detectors are loaded once."""

    def __init__(self, detectors: Sequence[Contender], batch_size: int, device: str):
        self._detectors = [detector.load(device) for detector in detectors]
        self._batch_size = batch_size

    def score(self, jobs: list[_Job]) -> list[_Result]:
        results: list[_Result] = []
        conditions = dict.fromkeys(condition for job in jobs for _, condition in job.wanted)
        hashes = [job.sha256 or _hash_or_none(job.media) for job in jobs]
        for condition in conditions:
            inputs: list[InputItem | Waveform | None] = [
                _input(job, sha256, condition)
                if any(condition == one for _, one in job.wanted)
                else None
                for job, sha256 in zip(jobs, hashes, strict=True)
            ]
            for number in range(len(self._detectors)):
                chosen = [n for n, job in enumerate(jobs) if (number, condition) in job.wanted]
                results += self._judge(number, condition, jobs, hashes, inputs, chosen)
        return results

    def _judge(
        self,
        number: int,
        condition: str,
        jobs: list[_Job],
        hashes: list[str | None],
        inputs: list[InputItem | Waveform | None],
        chosen: list[int],
    ) -> Iterator[_Result]:
        given = [one for n in chosen if (one := inputs[n]) is not None]
        verdicts = detect_iter(
            given, self._detectors[number], batch_size=self._batch_size, explain=False
        )
        for n, verdict in zip(chosen, verdicts, strict=True):
            raw = verdict.detectors[0].raw if verdict.detectors else None
            place, reason, message = jobs[n].place, verdict.reason, verdict.message
            score = math.nan if raw is None else raw
            yield _Result(place, number, condition, hashes[n], score, reason, message)


def _hash_or_none(media: Media) -> str | None:
    try:
        return _hash(media)
    except MediaError:  # judging it says why
        return None


def _input(job: _Job, sha256: str | None, condition: str) -> InputItem | Waveform:
    """What is judged; a clip that cannot be decoded is handed on with its problem."""
    if condition == CLEAN:
        return InputItem(job.key, job.media)
    try:
        return degraded(job.media, sha256 or job.key, condition, Limits())
    except MediaError as error:
        return InputItem(job.key, None, error)
    except Exception as error:  # as in a verdict: one clip never ends the run
        what = f"{type(error).__name__}: {error}"
        return InputItem(job.key, None, MediaError("internal_error", f"{job.key}: {what}"))
