"""`forensics.evaluate`: detectors, clips and channels → figures."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from forensics.detectors.base import SpeechDetector
from forensics.detectors.calibration import Calibration, Threshold
from forensics.detectors.image.base import ImageDetector
from forensics.errors import UsageError
from forensics.evaluation import figures
from forensics.evaluation.clips import ClipSet
from forensics.evaluation.contenders import Contender, contenders
from forensics.evaluation.figures import Draws
from forensics.evaluation.images.modality import modality_of
from forensics.evaluation.images.run import PictureEvaluation, evaluate_pictures
from forensics.evaluation.intervals import LEVEL
from forensics.evaluation.material import PathLike, open_clips
from forensics.evaluation.protocols import Format
from forensics.evaluation.report import (
    DetectorFigures,
    Difference,
    EvaluationReport,
    NotJudged,
    Settings,
)
from forensics.evaluation.score_files import aligned, read_scores
from forensics.evaluation.scored import ScoredSet
from forensics.evaluation.scoring import score_clips
from forensics.evaluation.sweep import CLEAN, checked_conditions, fingerprint
from forensics.evaluation.version import installed_version
from forensics.progress import Progress
from forensics.verdict.loading import DEFAULT_DETECTOR, DEFAULT_IMAGE_DETECTOR

LOG = "scores.jsonl"

AnyNamed = str | Path | SpeechDetector | ImageDetector


@dataclass(frozen=True)
class Judge:
    """Whose scores these are, and what they mean.

    Attributes:
        scores: condition → float64 (clips,), NaN where there is none; LLRs if `is_llr`.
    """

    label: str
    name: str
    version: str
    weights_sha256: str | None
    calibration: Calibration | None
    threshold: Threshold | None
    is_llr: bool
    scores: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """A report, and the scores behind it: (detector's label, condition) → every judged clip."""

    report: EvaluationReport
    scored: dict[tuple[str, str], ScoredSet]


def evaluate(
    detectors: AnyNamed | Sequence[AnyNamed] = (),
    *,
    weights: PathLike | None = None,
    shards: PathLike | None = None,
    protocol: PathLike | None = None,
    audio: PathLike | None = None,
    layout: Format | None = None,
    columns: Mapping[str, str] | None = None,
    where: Mapping[str, str] | None = None,
    split: str | None = None,
    conditions: Sequence[str] = (),
    scores_from: Sequence[PathLike] = (),
    scores_are_llrs: bool = False,
    out: PathLike | None = None,
    workers: int = 1,
    batch_size: int = 16,
    device: str = "cpu",
    replicates: int = 1000,
    seed: int = 0,
    identities: PathLike | None = None,
) -> Evaluation | PictureEvaluation:
    """Measure detectors, side by side on the same clips or pictures.

    Args:
        detectors: names, weights folders or loaded detectors, one or many, all of speech or all of
            pictures; by default the shipped one for what the material holds.
        weights: the weights folder of the only detector, when that is a registered name.
        shards: a corpus of `build-dataset`, folder or URL; or
        protocol: a protocol file, a CSV, or a folder of AUDETER; of pictures a list or folder of
            the formats of `forensics.corpus.exchange`. See `docs/evaluation.md`.
        audio: what a protocol's paths are relative to; by default its own folder.
        layout: the protocol's format; by default it is told from its first line.
        columns: role ("source", "group", "system", "kind", "split") → column.
        where: column → value of the rows of a protocol to keep.
        split: by default "test" of shards and everything of a protocol; "all" for everything.
        conditions: channels of the robustness sweep, names of `forensics.evaluation.sweep.SWEEP`
            or, of pictures, of `forensics.conditions.image.draw.IMAGE_SWEEP`.
        scores_from: ASVspoof score files to measure, in place of detectors.
        scores_are_llrs: their scores are calibrated log-likelihood ratios.
        out: folder that keeps finished scores; the same call goes on where it was.
        workers: processes that score.
        replicates: bootstrap resamples.
        identities: folder of people enrolled with `forensics identity`, who are asked about the
            pictures of a corpus of faces that claim to be them.

    Raises:
        UsageError: neither or both of shards and protocol; detectors of both modalities; options
            that pictures have not (`audio`, `layout`, `columns`, `where`, `scores_from`); what
            readers and detectors raise.
        MissingRequirement: there are no weights.
        CorpusError: damaged shards or weights.
    """
    named = [detectors] if isinstance(detectors, AnyNamed) else list(detectors)
    if not scores_from and modality_of(named, weights, shards, protocol) == "image":
        if audio or layout or columns or where:
            raise UsageError(
                "pictures take no audio, format, columns or where", "leave those options out"
            )
        return evaluate_pictures(
            [one for one in named if not isinstance(one, SpeechDetector)]
            or [DEFAULT_IMAGE_DETECTOR],
            weights=weights,
            shards=shards,
            protocol=protocol,
            split=split,
            conditions=conditions,
            out=out,
            workers=workers,
            device=device,
            replicates=replicates,
            seed=seed,
            identities=identities,
        )
    if identities is not None:
        raise UsageError("people are asked about pictures", "leave --identities out")
    started = time.perf_counter()
    clips = open_clips(shards, protocol, audio, layout, columns or {}, where or {}, split)
    wanted = checked_conditions(conditions)
    if scores_from:
        if len(wanted) > 1:
            raise UsageError("score files hold one score a clip", "leave --conditions out")
        judges, failed, notes = _from_files(clips, [Path(p) for p in scores_from], scores_are_llrs)
    else:
        speech = [one for one in named if not isinstance(one, ImageDetector)]
        found = contenders(speech or [DEFAULT_DETECTOR], _path(weights))
        log = None if out is None else Path(out) / LOG
        raw = score_clips(
            found,
            clips,
            wanted,
            log=log,
            workers=workers,
            batch_size=batch_size,
            device=device,
        )
        judges = [_judge(contender, raw.raw, wanted) for contender in found]
        failed = [NotJudged(**vars(one)) for one in raw.unjudged]
        notes = []
    return _measured(clips, judges, wanted, failed, notes, replicates, seed, started)


def _from_files(
    clips: ClipSet, paths: Sequence[Path], are_llrs: bool
) -> tuple[list[Judge], list[NotJudged], list[str]]:
    keys = [clip.key for clip in clips.clips]
    judges, failed, notes = [], [], []
    for path in paths:
        scores = read_scores(path)
        values = aligned(scores, keys, path)
        label = path.name
        if any(judge.label == label for judge in judges):
            raise UsageError(f"two score files are called {label!r}", "rename one")
        judges.append(Judge(label, "scores", "", None, None, None, are_llrs, {CLEAN: values}))
        failed += [
            NotJudged(
                key=keys[place],
                detector=label,
                condition=CLEAN,
                reason="no_score",
                message=f"{path} has no score of it",
            )
            for place in np.flatnonzero(np.isnan(values))
        ]
        unknown = len(scores) - int((~np.isnan(values)).sum())
        if unknown:
            notes.append(f"{unknown} scores of {label} are of clips that were not asked for")
    return judges, failed, notes


def _judge(
    contender: Contender, raw: Mapping[tuple[str, str], np.ndarray], conditions: Sequence[str]
) -> Judge:
    bundle = contender.bundle
    calibration = bundle.calibration
    return Judge(
        label=contender.label,
        name=contender.name,
        version=contender.version,
        weights_sha256=bundle.weights_sha256,
        calibration=calibration,
        threshold=bundle.thresholds[0] if bundle.thresholds else None,
        is_llr=calibration is not None,
        scores={
            condition: values if calibration is None else calibration.llr(values)
            for condition in conditions
            for values in [raw[contender.label, condition]]
        },
    )


def _measured(
    clips: ClipSet,
    judges: Sequence[Judge],
    conditions: Sequence[str],
    failed: Sequence[NotJudged],
    notes: Sequence[str],
    replicates: int,
    seed: int,
    started: float,
) -> Evaluation:
    """Figures over the clips that every judge scored under every condition."""
    judged = np.ones(len(clips.clips), bool)
    for judge in judges:
        for scores in judge.scores.values():
            judged &= np.isfinite(scores)
    scored = {
        (judge.label, condition): ScoredSet.of(clips.clips, scores).where(judged)
        for judge in judges
        for condition, scores in judge.scores.items()
    }
    draws: dict[tuple[str, str], Draws] = {}
    results = []
    with Progress(len(scored), "measuring", "sets of scores") as progress:
        for judge in judges:
            for condition in conditions:
                name = judge.label, condition
                draws[name] = figures.draw(scored[name], judge.is_llr, replicates, seed)
                progress.advance()
            results.append(_figures(judge, conditions, scored, draws, replicates, seed))
    first = scored[judges[0].label, CLEAN]
    report = EvaluationReport(
        material=clips.name,
        clips=len(clips.clips),
        judged=int(judged.sum()),
        labels={"bonafide": len(first.bonafide), "spoof": len(first.spoof)},
        groups=len(set(first.group.tolist())),
        sources=len(set(first.source.tolist()) - {""}),
        detectors=tuple(results),
        differences=tuple(
            Difference(
                first=one.label,
                second=other.label,
                condition=condition,
                figures=draws[one.label, condition].minus(draws[other.label, condition]),
            )
            for one, other in combinations(judges, 2)
            for condition in conditions
        ),
        not_judged=tuple(failed),
        notes=(*clips.notes, *notes),
        settings=Settings(
            conditions={condition: fingerprint(condition) for condition in conditions},
            replicates=replicates,
            level=LEVEL,
            seed=seed,
            few=figures.FEW,
        ),
        seconds=round(time.perf_counter() - started, 2),
        forensics_version=installed_version(),
    )
    return Evaluation(report, scored)


def _figures(
    judge: Judge,
    conditions: Sequence[str],
    scored: Mapping[tuple[str, str], ScoredSet],
    draws: Mapping[tuple[str, str], Draws],
    replicates: int,
    seed: int,
) -> DetectorFigures:
    clean = scored[judge.label, CLEAN]
    labels = figures.labels_of(clean.score, judge.calibration, judge.threshold)
    systems, kinds, sources = (
        figures.parts(clean, by, labels, replicates, seed) for by in ("system", "kind", "source")
    )
    return DetectorFigures(
        label=judge.label,
        name=judge.name,
        version=judge.version,
        weights_sha256=judge.weights_sha256,
        calibration=_calibration_text(judge),
        threshold=judge.threshold,
        conditions=tuple(
            figures.condition_figures(
                condition,
                scored[judge.label, condition],
                draws[judge.label, condition],
                None if condition == CLEAN else draws[judge.label, CLEAN],
                judge.calibration,
                judge.threshold,
            )
            for condition in conditions
        ),
        systems=systems,
        kinds=kinds,
        sources=sources,
    )


def _calibration_text(judge: Judge) -> str | None:
    if judge.calibration is not None:
        return str(judge.calibration)
    return "as stated: the scores are log-likelihood ratios" if judge.is_llr else None


def _path(named: PathLike | None) -> Path | None:
    return None if named is None else Path(os.fspath(named))
