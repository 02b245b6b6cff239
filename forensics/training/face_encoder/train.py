"""Pretrains a face encoder on the real photos of a corpus: from a config to a weights folder.

The folder of a run holds `run.yaml`, `fits/all/` with log and checkpoint, `encoder/` (what
`architecture.encoder_weights` of a face classifier takes), `report.json` and `report.md`. A run
that was cut off goes on where its checkpoint is.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict

from forensics.corpus.index import CorpusInfo, inspect_corpus
from forensics.detectors.network_detector import checked_architecture
from forensics.errors import UsageError
from forensics.locks import alone
from forensics.networks.face_encoder.encoder import FaceEncoderConfig
from forensics.networks.face_encoder.folder import CONFIG, save_encoder
from forensics.networks.face_encoder.pretraining import FacePretrainer
from forensics.shards.storage import publish
from forensics.training.detector.processes import Processes
from forensics.training.detector.train import provenance, with_lanes
from forensics.training.face_encoder.config import FaceEncoderTrainConfig
from forensics.training.face_encoder.fit import EncoderFit, masker, photos
from forensics.training.journal import claim

ENCODER = "encoder"
_MEASURED = 256  # photos whose colours are measured


class FaceEncoderReport(BaseModel):
    """The result of `forensics train` for a face encoder.

    Attributes:
        steps: that were done.
        dev_pixels: mean squared error of hidden patches, each normalised; about 1 is what an
            encoder that knows nothing gets.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int
    dev_pixels: float
    parameters: int
    trained_on: str

    def __str__(self) -> str:
        return (
            f"{self.parameters / 1e6:.2f} M parameters, {self.steps} steps on {self.trained_on}\n"
            f"error of hidden patches on dev: {self.dev_pixels:.3f} (1: nothing is known of them)"
        )


def train(
    config: FaceEncoderTrainConfig,
    corpus: str,
    out: Path,
    among: Processes,
    *,
    workers: int = 1,
    loaders: int = 0,
    command: str = "",
) -> FaceEncoderReport:
    """Pretrain, and write `out/encoder`; every process of a run calls it.

    Args:
        corpus: folder or URL; its real photos alone are looked at.
        workers: there is one fit; more change nothing.
        loaders: processes that decode, for each process of the run.
        command: not recorded: nothing is claimed of the encoder.

    Raises:
        UsageError: `out` holds a finished run or one of another config or corpus, the corpus has
            no real photos to train on or to look at, or does not say where faces are.
    """
    if not among.is_first:
        return _train(config, corpus, out, among, loaders)
    with alone(out, "training"):
        return _train(config, corpus, out, among, loaders)


def _train(
    config: FaceEncoderTrainConfig, corpus: str, out: Path, among: Processes, loaders: int
) -> FaceEncoderReport:
    info = inspect_corpus(corpus)
    for split in ("train", "dev"):
        if split not in info.splits or not info.splits[split].labels.get("bonafide", 0):
            raise UsageError(
                f"the {split} split of {info.name} holds no real photos", "build it of more people"
            )
    fit = with_lanes(config.fit, among.count, loaders)
    config = config.model_copy(update={"fit": fit})
    among.agreed(lambda: _claim(out, info, config))
    encoder = _measured(config, corpus)
    folder = out / "fits" / "all"
    if among.is_first:
        folder.mkdir(parents=True, exist_ok=True)
    among.gathered(None)
    fitted = EncoderFit(corpus, config, encoder, folder, among, loaders)
    network = fitted.run()
    assert isinstance(network, FacePretrainer)
    report = FaceEncoderReport(
        steps=fitted.step,
        dev_pixels=fitted.best[0],
        parameters=sum(one.numel() for one in network.encoder.parameters()),
        trained_on=f"real photos of {provenance(info)}",
    )
    if among.is_first:
        publish(str(out / "report.json"), report.model_dump_json(indent=1).encode() + b"\n")
        publish(str(out / "report.md"), f"{report}\n".encode())
        tensors = network.encoder.state_dict()
        save_encoder(out / ENCODER, encoder, tensors, report.trained_on, config.licence)
    return report


def _claim(out: Path, info: CorpusInfo, config: FaceEncoderTrainConfig) -> None:
    claim(out, yaml.safe_dump({"plan": info.plan, **config.model_dump(mode="json")}))
    if (out / ENCODER / CONFIG).exists():
        raise UsageError(f"{out} holds a finished run", "name another folder")


def _measured(config: FaceEncoderTrainConfig, corpus: str) -> FaceEncoderConfig:
    """What the encoder is built from, with the colours of the training photos."""
    given: dict[str, Any] = dict(config.architecture)
    encoder = checked_architecture(FaceEncoderConfig, given, "the face encoder")
    if {"mean", "std"} <= set(given):
        return encoder
    draw, still = np.random.default_rng(config.seed), masker(config, encoder)
    crops = [
        still.crop(item, draw, still=True).pixels[0].numpy() / 255
        for item in islice(photos(corpus, "train"), _MEASURED)
    ]
    mean = np.mean([crop.mean((1, 2)) for crop in crops], 0)
    square = np.mean([(crop**2).mean((1, 2)) for crop in crops], 0)
    std = np.sqrt(np.maximum(square - mean**2, 1e-4))
    colours = {"mean": tuple(mean.tolist()), "std": tuple(std.tolist())}
    return encoder.model_copy(update=colours)
