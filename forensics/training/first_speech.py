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
import json
import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from forensics.corpus.index import inspect_corpus
from forensics.detectors.bundle import Bundle, BundleCard, Measurement
from forensics.detectors.speech.spectral_cnn import SpectralCnnDetector
from forensics.errors import ForensicsError, UsageError
from forensics.evaluation.calibration import fit_affine, fit_threshold
from forensics.evaluation.intervals import bootstrap
from forensics.evaluation.metrics import eer
from forensics.networks.spectral_cnn import SpectralCnn
from forensics.training.config import FirstSpeechConfig, read_config
from forensics.training.crossed_fits import fit_all
from forensics.training.fitting import scorer
from forensics.training.held_out import Scored, clips, score_clips

log = logging.getLogger(__name__)


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
    _claim(out, yaml.safe_dump({"plan": info.plan, **config.model_dump(mode="json")}))
    final, raw = fit_all(corpus, config, set(info.systems), out, workers)
    described = "speakers and systems that the network scored without having heard them"
    real, fake = raw.score[raw.is_bonafide], raw.score[~raw.is_bonafide]
    calibration = fit_affine(real, fake, f"files of {info.name}: {described}")
    hardest = _hardest(raw, config.target_fnr)
    threshold = fit_threshold(
        calibration.llr(real),
        calibration.llr(raw.score[raw.system == hardest]),
        config.target_fpr,
        config.target_fnr,
        f"files of corpus {info.name}: {described}; spoofs: the hardest such system, {hardest}",
    )
    error = eer(real, raw.score[raw.system == hardest]).value
    if error > config.vouch_below_eer:
        threshold = threshold.model_copy(update={"bonafide_below": None})
        log.warning(
            "%s was told apart at an EER of %.0f %%: bonafide is withheld", hardest, 100 * error
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


def _hardest(scored: Scored, target_fnr: float) -> str:
    """The system of which that share of forgeries scores highest.

    Thresholds for all systems together would let one that looks real pass far too often.
    """
    return max(
        scored.systems(),
        key=lambda name: float(np.quantile(scored.score[scored.system == name], 1 - target_fnr)),
    )


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
