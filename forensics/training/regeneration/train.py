"""Trains the detector of regenerated pictures on a corpus, measures it, writes a weights folder.

The run's folder then holds `bundle/`, `run.yaml` (config and corpus), the statistics of each split,
and `report.json` and `report.md`. A run that was cut off goes on with the first split that it did
not finish measuring. No picture of the dev split trains, because a fusion is fitted on it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor
from torch.nn import functional as F

from forensics.corpus.index import inspect_corpus
from forensics.detectors.bundle import Bundle, BundleCard, Measurement
from forensics.detectors.image.regeneration import RegenerationDetector
from forensics.detectors.network_detector import checked_architecture
from forensics.errors import UsageError
from forensics.evaluation.intervals import value_with_interval
from forensics.evaluation.metrics import auc
from forensics.locks import alone
from forensics.networks.regeneration import Regeneration, RegenerationConfig
from forensics.progress import Progress
from forensics.shards.format import Split
from forensics.shards.storage import publish
from forensics.training.detector.folds import left_out_systems
from forensics.training.detector.train import check_splits, provenance
from forensics.training.localiser.train import BUNDLE, claim_run
from forensics.training.regeneration.config import RegenerationTrainConfig
from forensics.training.regeneration.rows import ANEW, PASTED, PRISTINE, Rows, rows_of


class RegenerationReport(BaseModel):
    """The result of `forensics train` for a regeneration detector; its `str` is for people.

    Attributes:
        rows: statistics that trained, of regenerated pictures and of others.
        measured: what the bundle says as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: tuple[int, int]
    measured: tuple[Measurement, ...]

    def __str__(self) -> str:
        lines = ["| measured on | image AUC |", "| --- | --- |"]
        for one in self.measured:
            bounds = f" ({one.interval[0]:.3f} to {one.interval[1]:.3f})" if one.interval else ""
            lines.append(f"| {one.on} | {one.value:.3f}{bounds} |")
        anew, others = self.rows
        lines += ["", f"trained on {anew} looks at regenerated pictures, {others} at others"]
        return "\n".join(lines)


def train(
    config: RegenerationTrainConfig, corpus: str, out: Path, device: torch.device, command: str
) -> RegenerationReport:
    """Measure statistics, fit, score the test split, and write `out/bundle`.

    Args:
        corpus: folder or URL of image shards.
        command: how to get this again, for the record.

    Raises:
        UsageError: `out` holds a finished run or one of another config or corpus, or the corpus
            lacks regenerated or pristine pictures.
    """
    with alone(out, "training"):
        return _train(config, corpus, out, device, command)


def _train(
    config: RegenerationTrainConfig, corpus: str, out: Path, device: torch.device, command: str
) -> RegenerationReport:
    info = inspect_corpus(corpus)
    check_splits(info, calibrated=False)
    torch.manual_seed(config.seed)
    name = RegenerationDetector.name
    built = checked_architecture(RegenerationConfig, config.architecture, name)
    network = Regeneration(built).to(device)
    claim_run(out, info, config)
    traces = network.traces.eval()
    left_out = left_out_systems(config.leave_out, info.kinds)
    heard = rows_of(corpus, "train", config.copies, config.seed, traces, device, out)
    heard = heard.where(~np.isin(heard.system, sorted(left_out)))
    _check(heard, "train")
    _fit(network, heard, config, device)
    measured: list[Measurement] = []
    splits: tuple[Split, ...] = ("dev", "test")
    for split in splits:
        rows = rows_of(corpus, split, None, config.seed, traces, device, out)
        _check(rows, split)
        on = f"{info.name}, {split} split (unseen cameras, seen decoders)"
        measured += _measured(on, rows, _scores(network, rows, device), command)
    anew = int((heard.made == ANEW).sum())
    report = RegenerationReport(rows=(anew, len(heard.made) - anew), measured=tuple(measured))
    publish(str(out / "report.json"), report.model_dump_json(indent=1).encode() + b"\n")
    publish(str(out / "report.md"), f"{report}\n".encode())
    card = BundleCard(
        detector=name,
        detector_version=RegenerationDetector.version,
        architecture=built.model_dump(mode="json"),
        measured=report.measured,
        trained_on=provenance(info),
        limits=config.limits,
        licence=config.licence,
    )
    weights = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    Bundle.save(out / BUNDLE, card, weights)
    return report


def _check(rows: Rows, split: str) -> None:
    for made in (PRISTINE, ANEW):
        if not (rows.made == made).any():
            raise UsageError(
                f"the {split} split holds no picture that is {made}",
                "build the corpus with editors in the mode regenerated, from more scenes",
            )


def _fit(
    network: Regeneration, rows: Rows, config: RegenerationTrainConfig, device: torch.device
) -> None:
    """Batches with as many looks at regenerated pictures as at others, for which edits that were
    pasted back count too: hardly a pixel of theirs was made anew. The rate falls along a cosine."""
    values = torch.from_numpy(rows.values)
    network.centre.copy_(values.mean(0))
    network.scale.copy_(values.std(0).clamp_min(1e-4))
    values, fit, rng = values.to(device), config.fit, np.random.default_rng(config.seed)
    pools = _pools(rows, fit.plain, fit.batch)
    target = torch.from_numpy((rows.made != ANEW).astype(np.float32)).to(device)
    optimiser = torch.optim.AdamW(
        network.parameters(), fit.learning_rate, weight_decay=fit.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, fit.steps)
    network.judged.train()
    with Progress(fit.steps, "fitting", "steps") as progress:
        for _ in range(fit.steps):
            drawn = np.concatenate([rng.choice(pool, count) for pool, count in pools])
            inputs = network.standardised(values[drawn])
            inputs = inputs + fit.noise * torch.randn(inputs.shape).to(device)
            loss = F.binary_cross_entropy_with_logits(
                network.judged(inputs).squeeze(1), target[drawn]
            )
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            progress.advance()
    network.eval()


def _pools(rows: Rows, plain_share: float, batch: int) -> list[tuple[np.ndarray, int]]:
    """Rows to draw from, and how many of them make a batch."""
    half = batch // 2
    plain = half if rows.plain.all() else round(half * plain_share)
    return [
        (np.flatnonzero((rows.plain == kind) & ((rows.made == ANEW) == anew)), count)
        for kind, count in ((True, plain), (False, half - plain))
        for anew in (False, True)
        if count
    ]


@torch.inference_mode()
def _scores(network: Regeneration, rows: Rows, device: torch.device) -> np.ndarray:
    scores: Tensor = network(torch.from_numpy(rows.values).to(device))
    return scores.double().cpu().numpy()


def _measured(on: str, rows: Rows, scores: np.ndarray, command: str) -> list[Measurement]:
    """Image AUC against pristine pictures: of regenerated ones, of each system's, and of edits
    that were pasted back, which this detector does not look for."""
    wanted = {on: rows.made == ANEW}
    wanted |= {
        f"{on}: {name}": (rows.system == name) & (rows.made == ANEW)
        for name in sorted(set(rows.system[rows.made == ANEW].tolist()))
    }
    if (rows.made == PASTED).any():
        wanted[f"{on}: edits that were pasted back"] = rows.made == PASTED
    found = []
    for where, forged in wanted.items():
        chosen = forged | (rows.made == PRISTINE)
        real = (rows.made == PRISTINE)[chosen]
        value, interval = value_with_interval(auc, scores[chosen], real, rows.group[chosen])
        found.append(
            Measurement(
                on=where, metric="image auc", value=value, interval=interval, command=command
            )
        )
    return found
