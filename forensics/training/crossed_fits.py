"""Fits that miss some systems and speakers, so that errors on the unheard can be measured."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from forensics.errors import UsageError
from forensics.training.config import FirstSpeechConfig
from forensics.training.fitting import fit, scorer
from forensics.training.held_out import Scored, clips, concatenated, score_clips

_LEAST_DEV = 5  # bona fide clips by which the scores of two networks are compared


@dataclass(frozen=True)
class Fold:
    """What one fit does not hear: these systems, and the speakers of part `part` of `parts`.

    With no parts it hears everything.
    """

    name: str
    systems: frozenset[str] = frozenset()
    part: int = 0
    parts: int = 0

    def heard(self, system: str, group: str) -> bool:
        return self.system_heard(system, group) and not self.unheard_speaker(group)

    def system_heard(self, system: str, group: str) -> bool:
        """What may choose among weights: no training ever hears speakers of the dev split."""
        return system not in self.systems

    def unheard_speaker(self, group: str) -> bool:
        digest = hashlib.sha256(group.encode()).digest()
        return self.parts > 0 and int.from_bytes(digest[:8], "big") % self.parts == self.part

    def unheard(self, system: str, group: str) -> bool:
        """Training items that neither by system nor by speaker were heard; and real ones."""
        return self.unheard_speaker(group) and (system in self.systems or system == "bonafide")


@dataclass(frozen=True)
class Fitted:
    """A network's weights, and the scores it gave to what it did not hear.

    Attributes:
        dev_bonafide: by which the scores of two networks are brought to one scale.
        unheard: bona fide of left-out speakers, and forgeries of left-out systems.
    """

    weights: dict[str, torch.Tensor]
    dev_bonafide: Scored
    unheard: Scored | None

    def save(self, folder: Path) -> None:
        """Scores last: their presence means that all is there."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.weights, folder / "model.safetensors")
        if self.unheard is not None:
            self.unheard.save(folder / "unheard.npz")
        self.dev_bonafide.save(folder / "dev-bonafide.npz")

    @classmethod
    def saved(cls, folder: Path) -> Fitted | None:
        if not (folder / "dev-bonafide.npz").exists():
            return None
        unheard = folder / "unheard.npz"
        return cls(
            load_file(folder / "model.safetensors"),
            Scored.load(folder / "dev-bonafide.npz"),
            Scored.load(unheard) if unheard.exists() else None,
        )


def fit_all(
    corpus: str, config: FirstSpeechConfig, systems: set[str], out: Path, workers: int
) -> tuple[Fitted, Scored]:
    """The network that heard all systems, and the scores of the unheard on its scale.

    Args:
        systems: that the corpus has.
        out: gets `log.jsonl`, and `fits/`, from which a run that was cut off goes on.
        workers: fits at a time, each in a process with one thread.

    Raises:
        UsageError: the corpus lacks systems to leave out, or real speech in the dev split.
    """
    jobs = [(corpus, config, fold, out) for fold in _folds(config, systems)]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        final, *crossed = processes.map(_fitted, jobs)
    mapped = [_on_scale_of(final, fitted) for fitted in crossed]
    return final, concatenated([final.dev_bonafide, *mapped])


def _folds(config: FirstSpeechConfig, systems: set[str]) -> list[Fold]:
    left_out = [present for names in config.leave_out if (present := systems & set(names))]
    if len(left_out) < 2:
        raise UsageError(
            f"of the systems in leave_out the corpus has {sorted(set().union(*left_out))}",
            "build it with systems of at least two entries of leave_out",
        )
    crossed = [
        Fold("without " + ", ".join(sorted(names)), frozenset(names), part, len(left_out))
        for part, names in enumerate(left_out)
    ]
    return [Fold("all systems"), *crossed]


def _fitted(job: tuple[str, FirstSpeechConfig, Fold, Path]) -> Fitted:
    """One fit, in a process of its own; or what an earlier run left of it."""
    corpus, config, fold, out = job
    folder = out / "fits" / fold.name.replace(", ", "-").replace(" ", "-")
    if (done := Fitted.saved(folder)) is not None:
        return done
    torch.set_num_threads(1)
    window = config.window_samples
    model = fit(
        corpus,
        config.network,
        config.fit,
        window,
        config.seed,
        fold.heard,
        fold.system_heard,
        out / "log.jsonl",
        fold.name,
    )
    score = scorer(model)
    dev = score_clips(
        score,
        clips(corpus, "dev", lambda s, g: s == "bonafide" or s in fold.systems, window),
    )
    unheard = None
    if fold.systems:
        crossed = score_clips(score, clips(corpus, "train", fold.unheard, window))
        unheard = concatenated([crossed, dev.where(~dev.is_bonafide)])
    fitted = Fitted(model.state_dict(), dev.where(dev.is_bonafide), unheard)
    fitted.save(folder)
    return fitted


def _on_scale_of(final: Fitted, fitted: Fitted) -> Scored:
    """What a network gave to the unheard, as if the final network had given it.

    Both scored the same real speech of the dev split: its mean and spread are made equal.
    """
    assert fitted.unheard is not None
    own, wanted = fitted.dev_bonafide.score, final.dev_bonafide.score
    if len(own) < _LEAST_DEV:
        raise UsageError(
            f"the dev split holds {len(own)} bona fide clips, at least {_LEAST_DEV} are needed",
            "build the corpus from more recordings",
        )
    scale = float(wanted.std() / max(own.std(), 1e-9))
    return fitted.unheard.mapped(scale, float(wanted.mean() - scale * own.mean()))
