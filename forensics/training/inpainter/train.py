"""Trains the diffusion inpainter on a source of frames; goes on where a run was cut off.

The run's folder then holds `inpainter/` (the weights, what the editor `own-inpainter` takes as
`weights`), `run.yaml`, `log.jsonl`, `checkpoint.safetensors` and `holes.png` (crops of held-out
scenes with their holes, filled, and as they were).
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import yaml

from forensics.corpus.images.frame import Frame
from forensics.corpus.images.recipe import Frames
from forensics.corpus.item import Source
from forensics.errors import UsageError
from forensics.locks import alone
from forensics.media.image import encode_image
from forensics.networks.inpainter import Inpainter, InpainterCard, save_inpainter
from forensics.progress import Progress
from forensics.shards import storage
from forensics.training import checkpoint
from forensics.training.inpainter.config import InpainterConfig
from forensics.training.inpainter.crops import Holed, HoledCrops, read_frames
from forensics.training.inpainter.fit import InpainterStepper, as_pixels, filled_crops, measured
from forensics.training.journal import Journal, claim

log = logging.getLogger(__name__)

CHECKPOINT, PICTURE = "checkpoint.safetensors", "holes.png"
_LOOK, _SHOWN, _QUALITY = 16, 6, 64  # crops
_CPU = torch.device("cpu")


def train(
    config: InpainterConfig,
    source: str,
    out: Path,
    where: dict[str, str] | None = None,
    device: torch.device = _CPU,
) -> InpainterCard:
    """Train, measure on held-out scenes, and write `out/inpainter`.

    Args:
        source: as `build-dataset` takes frames: a folder, a CSV or shards.
        where: which rows of a CSV.

    Raises:
        UsageError: nothing to train on, `out` holds a run of another config or source, somebody
            trains in `out` at this moment, or the loss is not finite any more.
        MachineError: `out` cannot be written.
    """
    with alone(out, "training"):
        how = Frames(min_side=min(96, config.network.side))
        found, seen, held = read_frames(source, where, config, how)
        resolved = {**config.model_dump(mode="json"), "source": _digest([*seen, *held])}
        claim(out, yaml.safe_dump(resolved))
        crops = HoledCrops(found, seen, config, how)
        others = HoledCrops(found, held, config, how) if held else None
        stepper = InpainterStepper(config, device)
        _run(stepper, crops, others, out)
        return _finished(stepper, found, seen, held, others, out)


def _run(
    stepper: InpainterStepper, crops: HoledCrops, others: HoledCrops | None, out: Path
) -> None:
    config, saved = stepper.config, out / CHECKPOINT
    looked_at = (others or crops).batch(0, _LOOK)
    done = 0
    if saved.exists():
        state = checkpoint.load(saved)
        stepper.load_state(state)
        done = state["step"]
        log.info("going on after step %d", done)
    started, losses = time.monotonic(), []
    with (
        Journal(out, config.tensorboard, kept=done) as journal,
        Progress(config.fit.steps - done, "training", "steps") as progress,
    ):
        for number in range(done + 1, config.fit.steps + 1):
            part = config.fit.batch // config.fit.accumulate
            batches = iter(
                [
                    crops.batch(number * config.fit.accumulate + i, part)
                    for i in range(config.fit.accumulate)
                ]
            )
            losses.append(stepper.step(batches.__next__, number))
            progress.advance()
            if number % config.checkpoint_every and number < config.fit.steps:
                continue
            mean = float(torch.stack(losses).mean())
            losses = []
            if not np.isfinite(mean):
                raise UsageError(
                    f"the loss is not finite any more at step {number}",
                    f"lower fit.learning_rate, and call it with another --out than {out}",
                )
            name = "held_out_loss" if others else "look_loss"
            journal.append(
                step=number,
                seconds=round(time.monotonic() - started, 1),
                loss=mean,
                learning_rate=config.fit.learning_rate * stepper.rate(number),
                **{name: stepper.look(looked_at)},
            )
            checkpoint.save(saved, {"step": number, **stepper.state()})
            _show(stepper, looked_at, out)


def _finished(
    stepper: InpainterStepper,
    found: Source[Frame],
    seen: Sequence[Frame],
    held: Sequence[Frame],
    others: HoledCrops | None,
    out: Path,
) -> InpainterCard:
    network, config = stepper.judged, stepper.config
    assert isinstance(network, Inpainter)
    network.eval()
    quality = None
    if others:
        scenes = len({one.camera for one in held})
        quality = measured(network, others.batch(1, _QUALITY), config.sampling_steps, scenes)
    return save_inpainter(
        out / "inpainter",
        network,
        config.fit.steps,
        _provenance(found, seen, config),
        "Apache-2.0 (code); weights: for research, the licences of most frames are not stated"
        if any(not one.licence or "none stated" in one.licence for one in seen)
        else "Apache-2.0 (code and weights)",
        quality,
    )


def _show(stepper: InpainterStepper, looked_at: Holed, out: Path) -> None:
    """Crops with their holes, filled, and as they were, one below the other."""
    shown = Holed(looked_at.pictures[:_SHOWN], looked_at.masks[:_SHOWN])
    network = stepper.judged
    assert isinstance(network, Inpainter)
    network.eval()
    truth = as_pixels(shown.pictures)
    holes = shown.masks[:, 0].numpy() > 0
    cut = np.where(holes[..., None], 128, truth).astype(np.uint8)
    filled = filled_crops(network, shown, stepper.config.sampling_steps)
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in (cut, filled, truth)])
    storage.publish(str(out / PICTURE), encode_image(sheet, "png"))


def _digest(frames: Sequence[Frame]) -> str:
    total = hashlib.sha256()
    for one in frames:
        total.update((one.sha256 or "").encode())
    return total.hexdigest()


def _provenance(found: Source[Frame], seen: Sequence[Frame], config: InpainterConfig) -> str:
    licences = sorted({one.licence or "no licence stated" for one in seen})
    domains = ", ".join(sorted({one.domain for one in seen}))
    scenes = {one.camera for one in seen}
    rule = f"scenes with sha256(name) % 10 < {10 - config.held_out_tenths}"
    return (
        f"{domains} ({found.root.name}): {len(seen)} frames of {len(scenes)} {rule}; "
        f"licences: {'; '.join(licences)}"
    )
