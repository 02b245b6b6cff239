"""`forensics.evaluate` on pictures: detectors, pictures and channels → figures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from forensics.detectors.image.base import ImageDetector, Known
from forensics.errors import UsageError
from forensics.evaluation import figures as whole
from forensics.evaluation.faces.claims import claims_of
from forensics.evaluation.faces.figures import Scored, face_report
from forensics.evaluation.faces.similarity import similarities
from forensics.evaluation.images import figures
from forensics.evaluation.images.baselines import AlwaysCentre, MeanMask, train_masks
from forensics.evaluation.images.contenders import (
    PictureContender,
    PictureNamed,
    picture_contenders,
)
from forensics.evaluation.images.figures import Draw
from forensics.evaluation.images.pictures import Material, PictureSet, open_pictures
from forensics.evaluation.images.pixels import SIZES, size_of
from forensics.evaluation.images.report import (
    Baseline,
    PictureFigures,
    PictureReport,
    PixelRow,
    PixelSummary,
)
from forensics.evaluation.images.scoring import Judged, Judgements, score_pictures
from forensics.evaluation.images.sweep import checked_conditions, fingerprint
from forensics.evaluation.intervals import LEVEL, clustered_share
from forensics.evaluation.material import PathLike
from forensics.evaluation.report import Estimate, NotJudged, Part, Settings
from forensics.evaluation.scored import ScoredSet
from forensics.evaluation.sweep import CLEAN
from forensics.evaluation.version import installed_version
from forensics.verdict.loading import DEFAULT_IMAGE_DETECTOR

LOG = "pictures.jsonl"


@dataclass(frozen=True)
class PictureEvaluation:
    """A report, and the scores behind it: (detector's label, condition) → every judged picture."""

    report: PictureReport
    scored: dict[tuple[str, str], ScoredSet]


def evaluate_pictures(
    detectors: Sequence[PictureNamed] = (DEFAULT_IMAGE_DETECTOR,),
    *,
    weights: PathLike | None = None,
    shards: PathLike | None = None,
    protocol: PathLike | None = None,
    split: str | None = None,
    conditions: Sequence[str] = (),
    out: PathLike | None = None,
    workers: int = 1,
    device: str = "cpu",
    replicates: int = 1000,
    seed: int = 0,
    identities: PathLike | None = None,
) -> PictureEvaluation:
    """Measure detectors of pictures; see `forensics.evaluate`.

    Where a corpus says whom its pictures claim to show, there are figures by claim as well, beside
    a baseline that only compares faces.

    Args:
        identities: of enrolled people, who are asked about the pictures that claim to be them.
        protocol: a list or folder in one of the formats of `forensics.corpus.exchange`.
        conditions: channels of the robustness sweep, names of `IMAGE_SWEEP`.

    Raises:
        UsageError, MissingRequirement, CorpusError, MachineError: as `forensics.evaluate`.
    """
    started = time.perf_counter()
    wanted = checked_conditions(conditions)
    named = None if weights is None else Path(weights)
    found = picture_contenders(list(detectors), named)
    material = open_pictures(shards, protocol, split)
    priors, notes = _baselines(material)
    log = None if out is None else Path(out) / LOG
    said = score_pictures(
        [*found, *priors], material.judged, wanted, log=log, workers=workers, device=device
    )
    draw = Draw(replicates, seed)
    results, scored, whole_sets = [], {}, []
    for contender in found:
        measured = _Measured(contender, material.judged, said, wanted, draw)
        results.append(measured.figures(priors))
        scored |= {(contender.label, name): measured.scored[name] for name in wanted}
        whole_sets.append(measured.claims())
    report = _report(material.judged, results, priors, said, wanted, draw, notes, started)
    claims = claims_of(shards)
    if any(clip.key in claims for clip in material.judged.clips):
        if identities is not None:
            from forensics.evaluation.faces.enrolled import enrolled_scores

            whole_sets.append(enrolled_scores(material.judged, claims, identities, device))
        similar = similarities(material.judged, claims)
        clips = material.judged.clips
        faces = face_report(clips, claims, similar, whole_sets, replicates, seed)
        lacking = () if faces else ("no figures by claim: the baseline has nothing to compare",)
        seconds = round(time.perf_counter() - started, 2)
        changes = {"faces": faces, "notes": (*report.notes, *lacking), "seconds": seconds}
        report = report.model_copy(update=changes)
    elif identities is not None:
        raise UsageError(
            f"the pictures of {material.judged.name} do not say whom they claim to show",
            "leave --identities out, or name a corpus of faces",
        )
    return PictureEvaluation(report, scored)


def _report(
    pictures: PictureSet,
    results: Sequence[PictureFigures],
    priors: Sequence[PictureContender],
    said: Judgements,
    conditions: Sequence[str],
    draw: Draw,
    notes: Sequence[str],
    started: float,
) -> PictureReport:
    everything = np.ones(len(pictures.clips), bool)
    baselines = [
        Baseline(label=prior.label, summary=type(prior.load("cpu")).summary, pixels=pixels)
        for prior in priors
        for table in [
            figures.table_of(pictures.clips, said.of[prior.label, CLEAN], said.area, everything)
        ]
        for pixels in [figures.summary_of(table, draw)]
        if pixels is not None
    ]
    real = sum(clip.is_bonafide for clip in pictures.clips)
    return PictureReport(
        material=pictures.name,
        pictures=len(pictures.clips),
        labels={"bonafide": real, "spoof": len(pictures.clips) - real},
        groups=len({clip.group for clip in pictures.clips}),
        masks=int((np.nan_to_num(said.area) > 0).sum()),
        detectors=tuple(results),
        baselines=tuple(baselines),
        not_judged=tuple(NotJudged(**vars(one)) for one in said.failed),
        notes=(*pictures.notes, *notes),
        settings=Settings(
            conditions={condition: fingerprint(condition) for condition in conditions},
            replicates=draw.replicates,
            level=LEVEL,
            seed=draw.seed,
            few=whole.FEW,
        ),
        seconds=round(time.perf_counter() - started, 2),
        forensics_version=installed_version(),
    )


def _baselines(material: Material) -> tuple[list[PictureContender], list[str]]:
    centre = AlwaysCentre()
    found = [_prior(centre, None)]
    mean = None if material.train is None else MeanMask.of(train_masks(material.train))
    if mean is None:
        return found, ["no mean-mask baseline: there is no train split with masks"]
    return [*found, _prior(mean, mean.digest)], []


def _prior(baseline: ImageDetector, identity: str | None) -> PictureContender:
    name, version = baseline.name, baseline.version
    known = Known(sha256=identity)
    return PictureContender(name, name, version, known, None, baseline, baseline=True)


class _Measured:
    """One detector: its scores over the pictures that it judged wherever it judges at all."""

    def __init__(
        self,
        contender: PictureContender,
        pictures: PictureSet,
        said: Judgements,
        conditions: Sequence[str],
        draw: Draw,
    ):
        self._contender, self._clips, self._said = contender, pictures.clips, said
        self._conditions, self._draw = conditions, draw
        self._of: dict[str, Judged] = {name: said.of[contender.label, name] for name in conditions}
        live = [one for one in self._of.values() if np.isfinite(one.raw).any()]
        self._judged = np.all([np.isfinite(one.raw) for one in live], axis=0)
        if not live:
            self._judged = np.zeros(len(self._clips), bool)
        self._calibration = contender.known.calibration
        self._threshold = contender.known.threshold
        self.scored = {name: self._scored(one) for name, one in self._of.items()}

    def _scored(self, judged: Judged) -> ScoredSet:
        chosen = self._judged & np.isfinite(judged.raw)
        raw = judged.raw if self._calibration is None else self._calibration.llr(judged.raw)
        return ScoredSet.of(self._clips, raw).where(chosen)

    def claims(self) -> Scored:
        """All clean scores, and the shipped threshold on their scale."""
        raw, label = self._of[CLEAN].raw, self._contender.label
        if self._calibration is None or self._threshold is None:
            return Scored(label, raw)
        above = self._threshold.manipulated_above
        cut = np.log(max(1 - above, 1e-12) / max(above, 1e-12))
        return Scored(label, self._calibration.llr(raw), float(cut), "shipped with the weights")

    def figures(self, priors: Sequence[PictureContender]) -> PictureFigures:
        contender, draw = self._contender, self._draw
        draws = {
            name: whole.draw(one, self._calibration is not None, draw.replicates, draw.seed)
            for name, one in self.scored.items()
        }
        clean = self.scored[CLEAN]
        labels = whole.labels_of(clean.score, self._calibration, self._threshold)
        systems, kinds, sources = (
            self._parts(clean, by, labels) for by in ("system", "kind", "source")
        )
        return PictureFigures(
            label=contender.label,
            name=contender.name,
            version=contender.version,
            weights_sha256=contender.identity,
            calibration=None if self._calibration is None else str(self._calibration),
            threshold=self._threshold,
            conditions=tuple(
                whole.condition_figures(
                    name,
                    self.scored[name],
                    draws[name],
                    None if name == CLEAN else draws[CLEAN],
                    self._calibration,
                    self._threshold,
                )
                for name in self._conditions
            ),
            systems=systems,
            kinds=kinds,
            sources=sources,
            judged=int(self._judged.sum()),
            not_applicable=dict(Counter(self._of[CLEAN].problems.values()).most_common()),
            accuracy=_accuracy(clean, labels),
            modes=self._parts(_with_kind(clean, self._column("mode")), "kind", labels),
            sizes=self._parts(_with_kind(clean, self._column("size")), "kind", labels),
            pixels=self._pixels(priors),
            pixel_conditions=self._pixel_conditions(),
        )

    def _parts(self, scored: ScoredSet, by: str, labels: np.ndarray | None) -> tuple[Part, ...]:
        found = whole.parts(scored, by, labels, self._draw.replicates, self._draw.seed)
        order = {name: place for place, name in enumerate(SIZES)}
        return tuple(sorted(found, key=lambda part: (order.get(part.name, -1), part.name)))

    def _column(self, name: str) -> np.ndarray:
        """str: of every clean judged picture its mode, or the bin of its region's size."""
        chosen = np.flatnonzero(self._judged & np.isfinite(self._of[CLEAN].raw)).tolist()
        if name == "mode":
            return np.array([self._clips[place].mode for place in chosen], dtype=str)
        area = np.nan_to_num(self._said.area[chosen])
        return np.array([size_of(float(one)) if one > 0 else "" for one in area], dtype=str)

    def _table(self, condition: str) -> figures.Table:
        return figures.table_of(self._clips, self._of[condition], self._said.area, self._judged)

    def _pixels(self, priors: Sequence[PictureContender]) -> PixelSummary | None:
        found = figures.summary_of(self._table(CLEAN), self._draw)
        if found is None:
            return None
        one, said = self._of[CLEAN], self._said.of
        over = {
            prior.label: figures.differences(
                one, said[prior.label, CLEAN], self._clips, self._judged, self._draw
            )
            for prior in priors
        }
        return found.model_copy(update={"over": over})

    def _pixel_conditions(self) -> tuple[PixelRow, ...]:
        rows = []
        for name in self._conditions:
            table = self._table(name)
            rows.append(figures.row_of(name, table.figures, table.group, self._draw))
        return tuple(rows) if any(row.pictures for row in rows) else ()


def _accuracy(scored: ScoredSet, labels: np.ndarray | None) -> Estimate | None:
    if labels is None or len(scored) == 0:
        return None
    right = (labels == "manipulated") == ~scored.is_bonafide
    low, high = clustered_share(right, scored.group)
    return Estimate(value=float(right.mean()), low=low, high=high)


def _with_kind(scored: ScoredSet, column: np.ndarray) -> ScoredSet:
    return replace(scored, kind=np.where(scored.is_bonafide, scored.kind, column))
