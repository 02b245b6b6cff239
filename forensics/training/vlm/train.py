"""Trains what a vision-language model knows of forged faces in general: `task: identity-vlm`.

The folder of a run holds `run.yaml`, `fits/` with a folder and a log for each stage, `report.json`
and `vlm/`, which `open_vlm` opens and with which people are enrolled. A run that was cut off goes
on where its checkpoints are when it is called again. The test split is looked at in the end.
"""

from __future__ import annotations

from pathlib import Path

import torch
import yaml
from pydantic import BaseModel, ConfigDict
from torch import nn

from forensics.corpus.index import CorpusInfo, inspect_corpus
from forensics.detectors.calibration import Calibration, Threshold
from forensics.detectors.face.vlm_calibration import VlmCalibration
from forensics.errors import UsageError
from forensics.locks import alone
from forensics.networks.vlm.card import CARD, VlmCard, VlmFolder, digest
from forensics.networks.vlm.face_vlm import FaceVlm
from forensics.networks.vlm.loading import add_lora, open_vlm
from forensics.shards import storage
from forensics.training.detector.processes import Processes
from forensics.training.detector.train import check_splits, provenance
from forensics.training.journal import claim
from forensics.training.vlm.calibrating import calibrated
from forensics.training.vlm.checkpointing import checkpointing
from forensics.training.vlm.config import StageConfig, VlmTrainConfig
from forensics.training.vlm.fit import StageFit, StagePlan
from forensics.training.vlm.questions import Asker

FOLDER, REPORT = "vlm", "report.json"


class StageReport(BaseModel):
    """What a stage achieved.

    Attributes:
        before, after: mean loss on questions about the test split, untrained and trained.
        right_before, right_after: share of them that are answered right, where the answer is yes
            or no; half of them are yes.
    """

    model_config = ConfigDict(frozen=True)
    name: str
    asks: str
    trained: int
    before: float
    after: float
    right_before: float | None
    right_after: float | None


class VlmReport(BaseModel):
    """Attributes:
    folder: what people are enrolled with.
    calibration, threshold: of the question whether a face is real; see `calibrated`.
    """

    model_config = ConfigDict(frozen=True)
    base: str
    folder: str
    stages: tuple[StageReport, ...]
    calibration: Calibration | None = None
    threshold: Threshold | None = None

    def __str__(self) -> str:
        lines = [f"{self.folder}: {self.base} with"]
        for one in self.stages:
            line = (
                f"  {one.name}: {one.trained} weights, test loss {one.before:.3f} → {one.after:.3f}"
            )
            if one.right_after is not None and one.right_before is not None:
                line += f", right {one.right_before:.1%} → {one.right_after:.1%}"
            lines.append(line)
        lines.append(f"  {self._meaning()}")
        return "\n".join(lines)

    def _meaning(self) -> str:
        if self.calibration is None:
            return "not calibrated: verdicts on nobody in particular are uncertain"
        if self.threshold is None:
            return f"{self.calibration}; too few pictures for a threshold"
        return f"{self.calibration}; manipulated above p {self.threshold.manipulated_above:.3f}"


def train(
    config: VlmTrainConfig,
    corpus: str,
    out: Path,
    among: Processes,
    *,
    workers: int = 1,
    loaders: int = 0,
    command: str,
) -> VlmReport:
    """Run the stages, measure, and write `out/vlm`.

    Args:
        corpus: folder or URL.
        workers, loaders: have no use here: one stage follows another, and pictures are decoded
            faster than such a model looks at them.
        command: how to get this again, for the record.

    Raises:
        MissingRequirement: the base or a package is not on this machine.
        UsageError: `out` holds a finished run or one of another config or corpus, or the corpus
            lacks what is to be asked about.
    """
    if among.count > 1:
        raise UsageError(
            "a vision-language model is trained by one process", "call it without torchrun"
        )
    with alone(out, "training"):
        info = inspect_corpus(corpus)
        check_splits(info, calibrated=False)
        resolved = {"plan": info.plan, **config.model_dump(mode="json")}
        claim(out, yaml.safe_dump(resolved))
        if (out / FOLDER / CARD).exists():
            raise UsageError(f"{out} holds a finished run", "name another folder")
        vlm = open_vlm(config.base, str(among.device), config.quantisation, config.dtype)
        parts = _parts(vlm, config)
        with checkpointing(vlm, config.checkpointing):
            stages = tuple(
                _stage(vlm, parts[stage.trains], config, number, corpus, out, among)
                for number, stage in enumerate(config.stages)
            )
        vlm.card = _card(vlm, config, info, command)
        calibration, threshold = calibrated(vlm, corpus, info.name, config)
        _save(vlm, parts, out, calibration, threshold)
        report = VlmReport(
            base=config.base,
            folder=str(out / FOLDER),
            stages=stages,
            calibration=calibration,
            threshold=threshold,
        )
        storage.publish(str(out / REPORT), report.model_dump_json(indent=2).encode())
        return report


def _parts(vlm: FaceVlm, config: VlmTrainConfig) -> dict[str, nn.Module]:
    """What there is to train, by its name in the config."""
    parts: dict[str, nn.Module] = {}
    if config.adapter is not None:
        parts["adapter"] = vlm.add_adapter(config.adapter, config.seed)
    if config.lora is not None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            parts["lora"] = _Named(add_lora(vlm, config.lora))
    for part in parts.values():
        part.requires_grad_(False)
    return parts


class _Named(nn.Module):
    """Weights that live elsewhere, as one module."""

    def __init__(self, weights: dict[str, nn.Parameter]):
        super().__init__()
        self.names = tuple(weights)
        self.weights = nn.ParameterList(weights.values())

    def named(self) -> dict[str, torch.Tensor]:
        return dict(zip(self.names, self.weights, strict=True))


def _stage(
    vlm: FaceVlm,
    trained: nn.Module,
    config: VlmTrainConfig,
    number: int,
    corpus: str,
    out: Path,
    among: Processes,
) -> StageReport:
    stage = config.stages[number]
    folder = out / "fits" / stage.name
    folder.mkdir(parents=True, exist_ok=True)
    plan = StagePlan(
        corpus, stage, number, _asker(config, stage), config.seed, folder, config.tensorboard
    )
    fit = StageFit(vlm, trained, plan, among)
    test = fit.questions("test")
    before, right_before = fit.answered(test)
    fit.run().requires_grad_(False)
    after, right_after = fit.answered(test)
    return StageReport(
        name=stage.name,
        asks=stage.asks,
        trained=sum(one.numel() for one in trained.parameters()),
        before=before,
        after=after,
        right_before=right_before,
        right_after=right_after,
    )


def _asker(config: VlmTrainConfig, stage: StageConfig) -> Asker:
    faces = config.faces if stage.similarity else None
    return Asker(stage.asks, stage.fit.forms, config.view, config.margin, faces)


def _card(vlm: FaceVlm, config: VlmTrainConfig, info: CorpusInfo, command: str) -> VlmCard:
    return vlm.card.model_copy(
        update={
            "adapter": config.adapter,
            "lora": config.lora,
            "view": config.view,
            "margin": config.margin,
            "trained_on": f"{provenance(info)}; {command}",
            "limits": config.limits,
            "licence": config.licence,
        }
    )


def _save(
    vlm: FaceVlm,
    parts: dict[str, nn.Module],
    out: Path,
    calibration: Calibration | None,
    threshold: Threshold | None,
) -> None:
    """The card last: its presence means that all is there."""
    tensors: dict[str, torch.Tensor] = {}
    if vlm.adapter is not None:
        tensors |= {f"adapter.{name}": value for name, value in vlm.adapter.state_dict().items()}
    lora = parts.get("lora")
    if isinstance(lora, _Named):
        tensors |= {f"lora.{name}": value for name, value in lora.named().items()}
    if calibration is not None:
        VlmCalibration(
            tensors_sha256=digest(tensors), calibration=calibration, threshold=threshold
        ).save(out / FOLDER)
    VlmFolder.save(out / FOLDER, vlm.card, tensors)
