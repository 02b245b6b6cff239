"""The part of an enrolment that a vision-language model does: learn a person's tokens, and measure
them on photos that were held out, beside similarity alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from forensics.detectors.calibration import Calibration, Threshold
from forensics.errors import UsageError
from forensics.identity.card import TokenCard, Trial
from forensics.identity.fakes import made_fakes
from forensics.identity.gate import centre_of
from forensics.identity.photos import Photo
from forensics.identity.questions import questions_about

if TYPE_CHECKING:
    from forensics.faces.tools import FaceTools
    from forensics.networks.vlm.face_vlm import FaceVlm
    from forensics.networks.vlm.rows import IdentityRows
    from forensics.training.vlm.enrol_settings import EnrolSettings
    from forensics.training.vlm.examples import Shown

_HELD_OUT = 4  # one photo in so many
_MIN_CALIBRATED = 4  # held-out photos, and fakes, from which anything is fitted or said
_TARGET = 0.05  # of both error rates, where enough were held out


@dataclass(frozen=True)
class TokenPlan:
    """Which model learns a person, and how.

    Attributes:
        model: what training wrote, a base model's folder, or a hub id in the local cache.
        device: "cpu" or "cuda"; quantisation: of the base, on CUDA.
        settings: None takes the defaults of `EnrolSettings`.
    """

    model: str | Path
    device: str = "cpu"
    quantisation: Literal["4bit", "8bit"] | None = None
    settings: EnrolSettings | None = None

    def open(self, tools: FaceTools) -> TokenLearner:
        """Load the model; `tools` embed the forgeries that are made.

        Raises:
            MissingRequirement: it is not on this machine.
            UsageError, CorpusError: it is no such model.
        """
        from forensics.networks.vlm.loading import open_vlm
        from forensics.training.vlm.enrol_settings import EnrolSettings

        vlm = open_vlm(self.model, self.device, self.quantisation)
        return TokenLearner(vlm, str(self.model), self.settings or EnrolSettings(), tools)


def token_settings(changes: Sequence[str], config: str | None = None) -> EnrolSettings:
    """How tokens are learned: the `enrol` of a training config, with `field=VALUE` changes.

    Args:
        config: a shipped one or a YAML file; None takes the defaults of `EnrolSettings`.

    Raises:
        UsageError: no such config, or fields that are wrong.
    """
    from forensics.training.config import changed, checked, read_settings
    from forensics.training.vlm.enrol_settings import EnrolSettings

    settings = {} if config is None else read_settings(config).get("enrol")
    if not isinstance(settings, dict):
        raise UsageError(f"{config} says nothing of enrolling", "name one such as identity-vlm")
    return checked(EnrolSettings, changed(settings, changes), config or "--set")


@dataclass(frozen=True)
class Learnt:
    """What a model learned of a person; `model_folder` as in `Identity`."""

    card: TokenCard
    input_rows: np.ndarray
    output_rows: np.ndarray
    model_folder: Path | None


@dataclass(frozen=True)
class _Part:
    """Photos of the three sorts."""

    own: list[Photo]
    fakes: list[Photo]
    others: list[Photo]


class TokenLearner:
    """Learns tokens with one model.

    Args:
        named: how the user names the model: a hub id, or a folder, of which the card keeps only
            the last part.
    """

    def __init__(self, vlm: FaceVlm, named: str, settings: EnrolSettings, tools: FaceTools):
        self.vlm, self.settings, self.tools = vlm, settings, tools
        folder = Path(named).expanduser()
        self._folder = folder.resolve() if folder.is_dir() else None
        self._model = named if self._folder is None else self._folder.name

    def learn(
        self,
        slug: str,
        own: Sequence[Photo],
        fakes: Sequence[Photo],
        others: Sequence[Photo],
        show_progress: bool = False,
    ) -> Learnt:
        """Train on most of the photos, measure on the rest.

        Where no forgeries are known, some are made of the person's own photos: those that
        measure, of held-out photos alone.

        Raises:
            UsageError: there is nothing to tell the person from.
        """
        made = not fakes
        train, held = (
            _Part(mine, made_fakes(slug, mine, crowd, self.tools) if made else known, crowd)
            for mine, known, crowd in zip(_split(own), _split(fakes), _split(others), strict=True)
        )
        if not (train.fakes or train.others):
            raise UsageError(
                "tokens are learned by telling a person from others and from forgeries",
                "name other people's photos with --others, or forgeries with --fakes",
            )
        rows = self._train(slug, train, show_progress)
        trial, calibration, threshold = self._measure(slug, rows, train, held, made)
        card = TokenCard(
            names=rows.tokens,
            model=self._model,
            model_fingerprint=self.vlm.fingerprint(),
            prompt_version=str(self.vlm.card.prompts),
            told_similarity=self.settings.similarity,
            calibration=calibration,
            threshold=threshold,
            trial=trial,
            trained_on=(
                f"{len(train.own)} photos of the person, {len(train.fakes)} "
                f"{'forgeries made of them' if made else 'known forgeries'}, "
                f"{len(train.others)} photos of other people"
            ),
        )
        return Learnt(card, rows.input_rows, rows.output_rows, self._folder)

    def _train(self, slug: str, train: _Part, show_progress: bool) -> IdentityRows:
        from contextlib import nullcontext

        from forensics.progress import Progress
        from forensics.training.vlm.enrol import enrol_tokens

        known = {
            id(view): photo.embedding
            for photos in (train.own, train.fakes, train.others)
            for view, photo in zip(_views(photos), photos, strict=True)
        }
        steps = self.settings.steps
        with Progress(steps, "learning tokens", "steps") if show_progress else nullcontext() as bar:
            return enrol_tokens(
                self.vlm,
                slug,
                _shown(train.own),
                _shown(train.fakes),
                _shown(train.others),
                self.settings,
                bar,
                embed=lambda views: np.stack([known[id(view)] for view in views]),
            )

    def _measure(
        self, slug: str, rows: IdentityRows, train: _Part, held: _Part, made: bool
    ) -> tuple[Trial | None, Calibration | None, Threshold | None]:
        from forensics.evaluation.metrics import auc

        if not held.own or not (held.fakes or held.others):
            return None, None, None
        centre = centre_of(np.stack([photo.embedding for photo in train.own]))
        self.vlm.add_identities([rows])
        parts = (held.own, held.fakes, held.others)
        own, fakes, others = (self._scores(slug, rows, photos, centre) for photos in parts)
        alike = [np.array([float(p.embedding @ centre) for p in photos]) for photos in parts]
        trial = Trial(
            n_real=len(held.own),
            n_fake=len(held.fakes),
            n_other=len(held.others),
            tokens_auc=auc(own, np.concatenate([fakes, others])),
            similarity_auc=auc(alike[0], np.concatenate(alike[1:])),
            sure_lead=_sure_lead((own, fakes, others), alike),
        )
        sort = "forgeries made of their photos" if made else "known forgeries"
        calibration, threshold = _calibrated(own, fakes, f"held-out photos of {slug} and {sort}")
        if made and threshold is not None:  # of no engine but those that were trained on
            threshold = threshold.model_copy(update={"bonafide_below": None})
        return trial, calibration, threshold

    def _scores(
        self, slug: str, rows: IdentityRows, photos: Sequence[Photo], centre: np.ndarray
    ) -> np.ndarray:
        """What a verdict would rest on, float64 (N,)."""
        if not photos:
            return np.zeros(0)
        told = self.settings.similarity
        asked = [
            questions_about(slug, rows.tokens, float(p.embedding @ centre) if told else None)
            for p in photos
        ]
        images = [v for v, q in zip(_views(photos), asked, strict=True) for _ in q]
        scores = self.vlm.score(images, [one for questions in asked for one in questions])
        return scores.astype(np.float64).reshape(len(photos), -1).min(axis=1)


def _sure_lead(scores: Sequence[np.ndarray], alike: Sequence[np.ndarray]) -> float:
    """By how much the scores' AUC is certainly above that of similarity: resamples of photos."""
    from forensics.evaluation.intervals import percentiles, resampled
    from forensics.evaluation.metrics import auc

    count, real = sum(map(len, scores)), len(scores[0])
    if min(real, count - real) < _MIN_CALIBRATED:
        return -1.0
    by_tokens, by_similarity = (
        resampled(
            lambda own, rest: (auc(own, rest),),
            np.concatenate(values),
            np.arange(count) < real,
            np.arange(count),
        )
        for values in (scores, alike)
    )
    return percentiles((by_tokens - by_similarity)[:, 0])[0]


def _calibrated(
    own: np.ndarray, fakes: np.ndarray, fitted_on: str
) -> tuple[Calibration | None, Threshold | None]:
    """From photos of the person and forgeries alone: somebody else's photo is no forgery."""
    from forensics.evaluation.calibration import fit_where_possible

    if min(len(own), len(fakes)) < _MIN_CALIBRATED:
        return None, None
    return fit_where_possible(own, fakes, _TARGET, _TARGET, fitted_on)


def _split(photos: Sequence[Photo]) -> tuple[list[Photo], list[Photo]]:
    """What is trained on, and every fourth photo, to measure."""
    measured = list(photos[_HELD_OUT - 1 :: _HELD_OUT])
    return [one for i, one in enumerate(photos) if i % _HELD_OUT != _HELD_OUT - 1], measured


def _shown(photos: Sequence[Photo]) -> list[Shown]:
    """A forgery that sets the real face in a scene is wrong by the scene alone."""
    from forensics.training.vlm.examples import Shown

    return [
        Shown(view, one.words.looks, one.words.scene, looks=True if one.context else None)
        for view, one in zip(_views(photos), photos, strict=True)
    ]


def _views(photos: Sequence[Photo]) -> list[np.ndarray]:
    return [photo.kept.pixels for photo in photos if photo.kept is not None]
