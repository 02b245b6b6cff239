"""Trains a vocoder on a source of recordings; goes on where a run that was cut off stopped.

The run's folder then holds `vocoder/` (the weights, what a generator's parameter `model` takes),
`run.yaml`, `log.jsonl`, `checkpoint.safetensors`, `copies.png` (spectrograms of a held-out
recording and its copy) and the two as wav files.
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

from forensics.corpus.item import Source
from forensics.corpus.speech.utterance import Utterance
from forensics.errors import UsageError
from forensics.locks import alone
from forensics.networks.vocoders.folder import VocoderCard, save_vocoder
from forensics.progress import Progress
from forensics.training import checkpoint
from forensics.training.journal import Journal, claim
from forensics.training.vocoder.config import VocoderConfig
from forensics.training.vocoder.fits import Fit, new_fit
from forensics.training.vocoder.quality import distances, measure
from forensics.training.vocoder.segments import SpeechSegments, read_recordings
from forensics.training.vocoder.show import show_copies

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.safetensors"
_QUALITY_CLIPS = 24
_LOOK_CLIPS = 4
_CPU = torch.device("cpu")


def train(
    config: VocoderConfig,
    source: str,
    out: Path,
    where: dict[str, str] | None = None,
    device: torch.device = _CPU,
) -> VocoderCard:
    """Train, measure on held-out speakers, and write `out/vocoder`.

    Args:
        source: as `build-dataset` takes it: a folder, a CSV or shards.
        where: which rows of a CSV.

    Raises:
        UsageError: nothing to train on, `out` holds a run of another config or source, somebody
            trains in `out` at this moment, or the loss is not finite any more.
        MachineError: `out` cannot be written.
    """
    with alone(out, "training"):
        return _train(config, source, out, where, device)


def _train(
    config: VocoderConfig,
    source: str,
    out: Path,
    where: dict[str, str] | None,
    device: torch.device,
) -> VocoderCard:
    shortest = config.segment / config.network.mel.sampling_rate
    found, heard, held = read_recordings(source, where, config.held_out_share, shortest)
    claim(out, yaml.safe_dump({**config.model_dump(mode="json"), "source": _digest(heard + held)}))
    rate = config.network.mel.sampling_rate
    segments = SpeechSegments(found.root, heard, rate, config.cache_mb)
    held = segments.readable(held[:_QUALITY_CLIPS])
    held_clips = [segments.clip(one) for one in held]
    fit = new_fit(config, device)
    _run(fit, segments, held_clips, out, device)
    network = fit.average.cpu()
    quality = None
    if held_clips:
        speakers = len({one.group for one in held})
        quality = measure(network, config.network.mel, held_clips, speakers)
        show_copies(network, config.network.mel, held_clips[0], out)
    return save_vocoder(
        out / "vocoder",
        network,
        config.network,
        config.steps,
        _provenance(found, heard),
        "Apache-2.0 (code and weights)",
        quality,
    )


def _run(
    fit: Fit, segments: SpeechSegments, held: list[np.ndarray], out: Path, device: torch.device
) -> None:
    config, saved = fit.config, out / CHECKPOINT
    done = 0
    if saved.exists():
        state = checkpoint.load(saved)
        fit.load_state(state)
        done = state["step"]
        log.info("going on after step %d", done)
    started, sums = time.monotonic(), {}
    with (
        Journal(out, config.tensorboard, kept=done) as journal,
        Progress(config.steps, "training", "steps") as progress,
    ):
        progress.advance(done)
        for number in range(done + 1, config.steps + 1):
            samples = segments.batch(config.seed, number, config.batch, config.segment)
            for name, value in fit.step(samples.to(device), number).items():
                sums.setdefault(name, []).append(value)
            progress.advance()
            if number % config.checkpoint_every and number < config.steps:
                continue
            figures = {name: float(np.mean(values)) for name, values in sums.items()}
            figures |= _look(fit, held)
            sums = {}
            if not np.isfinite(list(figures.values())).all():
                raise UsageError(
                    f"the loss is not finite any more at step {number}",
                    f"lower learning_rate, and call it with another --out than {out}",
                )
            journal.append(
                step=number,
                seconds=round(time.monotonic() - started, 1),
                **figures,
            )
            checkpoint.save(saved, {"step": number, **fit.state()})


def _look(fit: Fit, held: list[np.ndarray]) -> dict[str, float]:
    """Distances on a few held-out recordings, for the log."""
    if not held:
        return {}
    device = next(fit.average.parameters()).device
    mel, spectral = distances(fit.average.cpu(), fit.config.network.mel, held[:_LOOK_CLIPS])
    fit.average.to(device)
    return {"held_out_mel_distance": mel, "held_out_log_spectral_distance_db": spectral}


def _digest(utterances: Sequence[Utterance]) -> str:
    total = hashlib.sha256()
    for one in utterances:
        total.update((one.sha256 or "").encode())
    return total.hexdigest()


def _provenance(found: Source[Utterance], heard: Sequence[Utterance]) -> str:
    hours = sum(one.duration_s for one in heard) / 3600
    licences = ", ".join(sorted({one.licence or "no licence stated" for one in heard}))
    speakers = len({one.group for one in heard})
    domains = ", ".join(sorted({one.domain for one in heard}))
    return (
        f"{domains}: {len(heard)} recordings of {speakers} speakers, {hours:.2f} h; "
        f"licences: {licences}"
    )
