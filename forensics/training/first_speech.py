"""Trains the default speech detector from a corpus: one plain script, no device but a CPU.

    python -m forensics.training.first_speech --shards corpus/ --config first-speech --out run/

Besides the network that is kept, one network is fitted for each entry of `leave_out`, without
these systems and without a part of the speakers. Their scores on what they never heard set
calibration and thresholds, because a detector in use meets systems that nobody trained it on. The
test split is scored once, at the end. `run/` then holds `bundle/` (the weights folder),
`run.yaml` (the whole config), `log.jsonl` and `summary.json`. A run that was cut off goes on with
the fits it lacks when it is called again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shlex
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import yaml
from pydantic import BaseModel, ConfigDict, Field
from safetensors.torch import load_file, save_file

from forensics.corpus.index import inspect_corpus
from forensics.detectors.bundle import Bundle, BundleCard, Measurement
from forensics.detectors.speech.spectral_cnn import SpectralCnnDetector
from forensics.errors import ForensicsError, UsageError
from forensics.evaluation.calibration import fit_affine, fit_threshold
from forensics.evaluation.intervals import bootstrap
from forensics.evaluation.metrics import eer
from forensics.networks.spectral_cnn import SpectralCnn, SpectralCnnConfig
from forensics.training.fitting import FitConfig, fit, read_config, scorer
from forensics.training.held_out import Scored, clips, concatenated, score_clips

_LEAST_DEV = 5  # bona fide clips by which the scores of two networks are compared


class FirstSpeechConfig(BaseModel):
    """Everything that shapes the weights, but the corpus.

    Attributes:
        window_samples: heard at once by the detector.
        leave_out: sets of systems that go missing together; systems that the corpus lacks are
            passed over.
        target_fpr, target_fnr: error rates that the thresholds aim at.
        limits: what the detector is known not to do, in words that go with every verdict.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    network: SpectralCnnConfig = SpectralCnnConfig()
    window_samples: int = Field(default=64_600, ge=16_000)
    fit: FitConfig = FitConfig()
    leave_out: tuple[tuple[str, ...], ...] = Field(min_length=2)
    target_fpr: float = Field(default=0.02, gt=0, lt=1)
    target_fnr: float = Field(default=0.05, gt=0, lt=1)
    limits: str = ""


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


def train(corpus: str, config: FirstSpeechConfig, out: Path, workers: int, command: str) -> Bundle:
    """Fit, calibrate, measure, and write `out/bundle`.

    Args:
        workers: fits at a time, each in a process with one thread.
        command: how to get this again, for the record.

    Raises:
        UsageError: `out` holds a bundle, the corpus lacks what is needed, or the networks do not
            tell bona fide from forgeries that they never heard.
    """
    info = inspect_corpus(corpus)
    folds = _folds(config, set(info.systems))
    _claim(out, yaml.safe_dump({"plan": info.plan, **config.model_dump(mode="json")}))
    jobs = [(corpus, config, fold, out) for fold in folds]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
        final, *crossed = processes.map(_fitted, jobs)
    raw = concatenated([final.dev_bonafide, *(_on_scale_of(final, fitted) for fitted in crossed)])
    described = "speakers and systems that the network scored without having heard them"
    real, fake = raw.score[raw.is_bonafide], raw.score[~raw.is_bonafide]
    calibration = fit_affine(real, fake, f"files of {info.name}: {described}")
    threshold = fit_threshold(
        calibration.llr(real),
        calibration.llr(fake),
        config.target_fpr,
        config.target_fnr,
        f"files of corpus {info.name}: {described}",
    )
    network = SpectralCnn(config.network)
    network.load_state_dict(final.weights)
    everything = clips(corpus, "test", lambda system, group: True, config.window_samples)
    test = score_clips(scorer(network.eval()), everything)
    measured = [
        *_measurements(f"{info.name}, test split (unheard speakers, heard systems)", test, command),
        *_measurements(f"{info.name}, {described}", raw, command),
    ]
    card = BundleCard(
        detector=SpectralCnnDetector.name,
        detector_version=SpectralCnnDetector.version,
        architecture=config.network.model_dump(mode="json"),
        sampling_rate=config.network.sampling_rate,
        window_samples=config.window_samples,
        calibration=calibration,
        thresholds=(threshold,),
        measured=tuple(measured),
        trained_on=_provenance(info),
        limits=config.limits,
        licence="Apache-2.0",
    )
    bundle = Bundle.save(out / "bundle", card, final.weights)
    summary = {
        "test": test.by_system(),
        "unheard": raw.by_system(),
        "threshold": threshold.model_dump(),
    }
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return bundle


def _claim(out: Path, settings: str) -> None:
    """Fits that an earlier run with the same settings finished are not done again."""
    if (out / "bundle").exists():
        raise UsageError(f"{out} already holds a bundle", "name another folder")
    (out / "fits").mkdir(parents=True, exist_ok=True)
    recorded = out / "run.yaml"
    if recorded.exists() and recorded.read_text() != settings:
        raise UsageError(f"{out} holds fits of another config or corpus", "name another folder")
    recorded.write_text(settings)


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


def _measurements(on: str, scored: Scored, command: str) -> list[Measurement]:
    """EERs: of all systems, with an interval over speakers, and of each."""
    interval = bootstrap(
        lambda real, fake: eer(real, fake).value,
        scored.score,
        scored.is_bonafide,
        scored.group,
    )
    pooled = Measurement(
        on=on,
        metric="eer",
        value=interval.value,
        interval=(interval.low, interval.high),
        command=command,
    )
    return [
        pooled,
        *(
            Measurement(on=f"{on}: {name}", metric="eer", value=value, command=command)
            for name, (value, _) in scored.by_system().items()
        ),
    ]


def _provenance(info: Any) -> str:
    systems = ", ".join(sorted(name for name in info.systems if name != "bonafide"))
    licences = ", ".join(sorted(info.licences))
    return f"corpus {info.name} (plan {info.plan[:12]}): {systems}; licences: {licences}"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="forensics.training.first_speech", description=__doc__)
    parser.add_argument("--shards", required=True, help="corpus folder or URL")
    parser.add_argument("--config", default="first-speech", help="shipped config or YAML file")
    parser.add_argument("--out", type=Path, required=True, help="folder for all that is written")
    parser.add_argument("--workers", type=int, default=1, help="fits at a time")
    given = parser.parse_args(arguments)
    command = "python -m forensics.training.first_speech " + shlex.join(
        sys.argv[1:] if arguments is None else arguments
    )
    try:
        config = read_config(FirstSpeechConfig, given.config)
        bundle = train(given.shards, config, given.out, max(1, given.workers), command)
    except ForensicsError as error:
        print(f"error: {error.what}\n{error.fix or ''}".rstrip(), file=sys.stderr)
        return error.exit_code
    for figure in bundle.config.measured:
        print(f"{100 * figure.value:5.1f} %  {figure.metric}  {figure.on}")
    print(f"weights: {bundle.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
