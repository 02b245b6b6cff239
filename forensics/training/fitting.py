"""Fits the spectral CNN to pairs of windows: plain torch, one process, made for CPUs."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from forensics.networks.spectral_cnn import SpectralCnn, SpectralCnnConfig
from forensics.progress import Progress
from forensics.shards.storage import Url
from forensics.training.config import FitConfig, Hiding
from forensics.training.held_out import CutClip, Score, clips, score_clips
from forensics.training.paired_windows import Keep, PairedWindows


def fit(
    corpus: Url,
    network: SpectralCnnConfig,
    config: FitConfig,
    scored_samples: int,
    seed: int,
    heard: Keep,
    choosing: Keep,
    log: Path,
    name: str,
) -> SpectralCnn:
    """Train on the training split, keep the weights that are best on the dev split.

    Best is the least mean over systems of 1 - AUC. The log gets one JSON object per look.

    Args:
        scored_samples: window that files are cut to when they are scored.
        heard: of the training split, what is trained on.
        choosing: of the dev split, what chooses the best weights.
        log: JSON-lines file to append to.
        name: of this fit, in log and progress.
    """
    torch.manual_seed(seed)
    model = SpectralCnn(network).to(memory_format=torch.channels_last)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=True)
    pairs = PairedWindows(
        corpus,
        heard,
        network.sampling_rate,
        config.window_samples,
        config.augment,
        config.pool,
        config.draws_per_family,
        seed,
    )
    dev = list(clips(corpus, "dev", choosing, scored_samples))
    best, best_weights, worse = np.inf, average.module.state_dict(), 0
    losses: list[float] = []
    started = time.monotonic()
    step = _stepper(model, network, config)
    with Progress(config.steps, f"training {name}", "steps") as progress:
        for number, batch in enumerate(DataLoader(pairs, config.pairs), start=1):
            losses.append(step(batch, number))
            average.update_parameters(model)
            progress.advance()
            if number % config.evaluate_every and number < config.steps:
                continue
            error, by_system = _look(average.module, dev)
            _append(
                log,
                fit=name,
                step=number,
                seconds=round(time.monotonic() - started, 1),
                loss=float(np.mean(losses)),
                dev_error=error,
                dev_eer=by_system,
            )
            losses.clear()
            worse = 0 if error < best else worse + 1
            if error < best:
                best = error
                best_weights = {k: v.clone() for k, v in average.module.state_dict().items()}
            if worse >= config.patience or number >= config.steps:
                break
    chosen = SpectralCnn(network)
    chosen.load_state_dict(best_weights)
    return chosen.eval()


def scorer(model: nn.Module) -> Score:
    """The network as a function of windows, one at a time, as the detector runs it."""

    def score(windows: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            rows = torch.from_numpy(windows).split(1)
            return torch.cat([model(row) for row in rows]).double().numpy()

    return score


def hidden(
    config: Hiding, network: SpectralCnnConfig, rows: int, frames: int, generator: torch.Generator
) -> Tensor:
    """What the network may see: float32 (rows, bands, frames), 0 where something is hidden."""
    bands = network.bands

    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(rows, 1, generator=generator)

    def stripe(size: int, share: float) -> Tensor:
        width = draw(0, share * size)
        start = draw(0, 1) * (size - width)
        at = torch.arange(size).unsqueeze(0)
        return (at >= start) & (at < start + width)

    tops = draw(min(config.lowest_top_hz / network.top_hz, 1.0) * bands, bands)
    cut = (draw(0, 1) < config.top_probability) & (torch.arange(bands).unsqueeze(0) >= tops)
    in_band = cut | stripe(bands, config.band_share)
    in_time = stripe(frames, config.time_share)
    return (~(in_band.unsqueeze(2) | in_time.unsqueeze(1))).float()


def _stepper(
    model: SpectralCnn, network: SpectralCnnConfig, config: FitConfig
) -> Callable[[Tensor, int], float]:
    """(batch float32 (pairs, 2, window), number from 1) → the loss, after one step."""
    optimiser = torch.optim.AdamW(
        model.parameters(), config.learning_rate, weight_decay=config.weight_decay
    )
    generator = torch.Generator().manual_seed(torch.initial_seed())
    frames = config.window_samples // network.hop + 1
    loss_of = nn.BCEWithLogitsLoss()

    def rate(number: int) -> float:
        if number <= config.warmup:
            return number / config.warmup
        done = (number - config.warmup) / max(1, config.steps - config.warmup)
        return 0.5 * (1 + np.cos(np.pi * min(done, 1.0)))

    def step(batch: Tensor, number: int) -> float:
        for group in optimiser.param_groups:
            group["lr"] = config.learning_rate * rate(number)
        model.train()
        windows = batch.flatten(0, 1)
        labels = torch.tensor([1.0, 0.0]).repeat(len(batch))
        targets = labels * (1 - 2 * config.smoothing) + config.smoothing
        seen = hidden(config.hiding, network, len(windows), frames, generator)
        loss = loss_of(model(windows, seen), targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()
        return float(loss.detach())

    return step


def _look(model: nn.Module, dev: list[CutClip]) -> tuple[float, dict[str, float]]:
    """Mean over systems of 1 - AUC, and each system's EER."""
    found = score_clips(scorer(model.eval()), dev).by_system()
    return float(np.mean([1 - area for _, area in found.values()])), {
        name: round(error, 4) for name, (error, _) in found.items()
    }


def _append(log: Path, **fields: Any) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(fields) + "\n")
