"""`forensics train`: reads a config and starts what its `task` names."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from forensics.errors import UsageError
from forensics.training.config import checked, read_settings

if TYPE_CHECKING:
    from forensics.training.detector.processes import Processes

TASKS = (
    "detector",
    "ensemble",
    "face-classifier",
    "face-encoder",
    "fusion",
    "identity-vlm",
    "inpainter",
    "localiser",
    "regeneration",
    "vocoder",
)


def run(
    config: str,
    out: Path,
    *,
    shards: str | None = None,
    source: str | None = None,
    where: Mapping[str, str] | None = None,
    changes: Sequence[str] = (),
    seeds: Sequence[int] = (),
    device: str | None = None,
    workers: int = 1,
    loaders: int | None = None,
    command: str = "forensics train",
) -> BaseModel:
    """Train, or go on with a training that was cut off.

    Args:
        config: a shipped config by name, or a YAML file.
        out: folder for all that is written.
        shards: corpus that a detector or a localiser is trained on.
        source: recordings that a vocoder is trained on, or frames that an inpainter is; `where`
            chooses rows of a CSV.
        changes: `path.to.field=VALUE` each, over the config's.
        seeds: over the config's.
        device: "cpu", "cuda", …; None takes CUDA where there is some.
        workers: fits at a time, of a detector.
        loaders: processes that decode and augment for a detector; None takes none on a CPU, else
            what there is.
        command: how to get this again, for the record.

    Returns:
        A detector's or a localiser's report, or a vocoder's or an inpainter's card; its `str` is
        for people.

    Raises:
        UsageError: the config is wrong, or something that its task needs is not named.
    """
    settings = read_settings(config, changes)
    task = settings.get("task")
    if task in ("detector", "ensemble"):
        if where:
            raise UsageError(
                "--where chooses rows of a vocoder's --source", "leave it out for a detector"
            )
        return _on_speech(
            task, settings, config, out, shards, source, seeds, device, workers, loaders, command
        )
    if task in ("localiser", "face-classifier", "face-encoder", "identity-vlm"):
        return _on_pictures(
            task,
            settings,
            config,
            out,
            shards,
            source,
            where,
            seeds,
            device,
            workers,
            loaders,
            command,
        )
    if task == "fusion":
        if source is not None or where or seeds:
            raise UsageError(
                "a fusion is fitted on a corpus of pictures",
                "name it with --shards, and leave out --source, --where and --seeds",
            )
        return _fusion(settings, config, out, shards, device, workers, command)
    if task == "regeneration":
        return _regeneration(settings, config, out, shards, source, where, seeds, device, command)
    if task == "inpainter":
        return _inpainter(settings, config, out, shards, source, where, seeds, device)
    if task == "vocoder":
        return _vocoder(settings, config, out, shards, source, where, seeds, device)
    raise UsageError(
        f"{config}: task is {task!r}", f"a config that trains names one of {', '.join(TASKS)}"
    )


def _on_speech(
    task: str,
    settings: dict[str, Any],
    name: str,
    out: Path,
    shards: str | None,
    source: str | None,
    seeds: Sequence[int],
    device: str | None,
    workers: int,
    loaders: int | None,
    command: str,
) -> BaseModel:
    """A detector of speech, or an ensemble of several."""
    from forensics.training.detector.config import DetectorConfig, EnsembleTrainConfig
    from forensics.training.detector.processes import processes
    from forensics.training.detector.train import train

    if shards is None or source is not None:
        raise UsageError(
            f"the task {task} trains on a corpus",
            "name it with --shards, and leave out --source",
        )
    if task == "ensemble" and len(seeds) > 1:
        raise UsageError("an ensemble is trained with one seed", "name one")
    if seeds:
        settings |= {"seed": seeds[0]} if task == "ensemble" else {"seeds": list(seeds)}
    kind = EnsembleTrainConfig if task == "ensemble" else DetectorConfig
    config = checked(kind, settings, name)
    with processes(device) as among:
        used = _loaders(among) if loaders is None else loaders
        return train(config, shards, out, among, workers=workers, loaders=used, command=command)


def _on_pictures(
    task: str,
    settings: dict[str, Any],
    name: str,
    out: Path,
    shards: str | None,
    source: str | None,
    where: Mapping[str, str] | None,
    seeds: Sequence[int],
    device: str | None,
    workers: int,
    loaders: int | None,
    command: str,
) -> BaseModel:
    """A localiser, a face classifier or a face encoder."""
    from forensics.training.detector.processes import processes

    corpus = _corpus_of_pictures(task, settings, shards, source, where, seeds)
    kind, train = _trainer(task)
    config = checked(kind, settings, name)
    with processes(device) as among:
        used = _loaders(among) if loaders is None else loaders
        return train(config, corpus, out, among, workers=workers, loaders=used, command=command)


def _corpus_of_pictures(
    task: str,
    settings: dict[str, Any],
    shards: str | None,
    source: str | None,
    where: Mapping[str, str] | None,
    seeds: Sequence[int],
) -> str:
    """The corpus of a task that has one and one seed, which goes into the settings."""
    what = f"{task} is trained"
    if shards is None or source is not None or where:
        raise UsageError(
            f"{what} on a corpus of pictures",
            "name it with --shards, and leave out --source and --where",
        )
    if len(seeds) > 1:
        raise UsageError(f"{what} with one seed", "name one")
    if seeds:
        settings["seed"] = seeds[0]
    return shards


def _trainer(task: str) -> tuple[type[BaseModel], Callable[..., BaseModel]]:
    """The config of a task on pictures, and what carries it out."""
    if task == "face-classifier":
        from forensics.training.face_classifier.config import FaceClassifierTrainConfig
        from forensics.training.face_classifier.train import train

        return FaceClassifierTrainConfig, train
    if task == "face-encoder":
        from forensics.training.face_encoder.config import FaceEncoderTrainConfig
        from forensics.training.face_encoder.train import train as train_encoder

        return FaceEncoderTrainConfig, train_encoder
    if task == "identity-vlm":
        from forensics.training.vlm.config import VlmTrainConfig
        from forensics.training.vlm.train import train as train_vlm

        return VlmTrainConfig, train_vlm
    from forensics.training.localiser.config import LocaliserTrainConfig
    from forensics.training.localiser.train import train as train_localiser

    return LocaliserTrainConfig, train_localiser


def _fusion(
    settings: dict[str, Any],
    name: str,
    out: Path,
    shards: str | None,
    device: str | None,
    workers: int,
    command: str,
) -> BaseModel:
    from forensics.training.fusion.config import FusionConfig
    from forensics.training.fusion.train import train

    if shards is None:
        raise UsageError("a fusion is fitted on a corpus of pictures", "name it with --shards")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("a fusion is fitted by one process", "call it without torchrun")
    config = checked(FusionConfig, settings, name)
    return train(config, shards, out, device=device or "cpu", workers=workers, command=command)


def _regeneration(
    settings: dict[str, Any],
    name: str,
    out: Path,
    shards: str | None,
    source: str | None,
    where: Mapping[str, str] | None,
    seeds: Sequence[int],
    device: str | None,
    command: str,
) -> BaseModel:
    from forensics.training.detector.processes import checked_device
    from forensics.training.regeneration.config import RegenerationTrainConfig
    from forensics.training.regeneration.train import train

    corpus = _corpus_of_pictures("regeneration", settings, shards, source, where, seeds)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("regeneration is trained by one process", "call it without torchrun")
    config = checked(RegenerationTrainConfig, settings, name)
    return train(config, corpus, out, checked_device(device), command)


def _loaders(among: Processes) -> int:
    if among.device.type == "cpu":
        return 0  # the cores are busy with the network
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return min(8, (os.cpu_count() or 1) // local)


def _vocoder(
    settings: dict[str, Any],
    name: str,
    out: Path,
    shards: str | None,
    source: str | None,
    where: Mapping[str, str] | None,
    seeds: Sequence[int],
    device: str | None,
) -> BaseModel:
    from forensics.training.detector.processes import checked_device
    from forensics.training.vocoder.config import VocoderConfig
    from forensics.training.vocoder.loop import train

    if source is None or shards is not None:
        raise UsageError(
            "a vocoder is trained on recordings", "name them with --source, and leave out --shards"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("a vocoder is trained by one process", "call it without torchrun")
    if len(seeds) > 1:
        raise UsageError("a vocoder is trained with one seed", "name one")
    if seeds:
        settings["seed"] = seeds[0]
    config = checked(VocoderConfig, settings, name)
    return train(config, source, out, dict(where) if where else None, checked_device(device))


def _inpainter(
    settings: dict[str, Any],
    name: str,
    out: Path,
    shards: str | None,
    source: str | None,
    where: Mapping[str, str] | None,
    seeds: Sequence[int],
    device: str | None,
) -> BaseModel:
    from forensics.training.detector.processes import checked_device
    from forensics.training.inpainter.config import InpainterConfig
    from forensics.training.inpainter.train import train

    if source is None or shards is not None:
        raise UsageError(
            "an inpainter is trained on frames", "name them with --source, and leave out --shards"
        )
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError("an inpainter is trained by one process", "call it without torchrun")
    if len(seeds) > 1:
        raise UsageError("an inpainter is trained with one seed", "name one")
    if seeds:
        settings["seed"] = seeds[0]
    config = checked(InpainterConfig, settings, name)
    return train(config, source, out, dict(where) if where else None, checked_device(device))
