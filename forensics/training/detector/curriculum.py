"""Which systems are easy to recognise: the order in which a curriculum brings them.

After the idea in the second version of AUDETER (arXiv 2509.04345): systems with a weak fingerprint
teach what forgeries have in common, those with a strong one teach their own fingerprint. The
measure of strength, the stages and the distillation are our own design.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from forensics import shards
from forensics.errors import MediaError, UsageError
from forensics.evaluation.metrics import auc
from forensics.media.audio import Waveform
from forensics.shards.dataset import decode
from forensics.shards.storage import Url
from forensics.training.detector.config import CurriculumConfig
from forensics.verdict.speech import SpeechConfig, cut

Embed = Callable[[np.ndarray], np.ndarray]
"""float32 (window,) at 16 kHz → features float64 (F,)."""

_BANDS, _FFT, _HOP = 64, 512, 256
_FOLDS = 5
_NEVER = -700.0  # log probability of a system that no speaker of the other folds had


def fingerprint_strengths(
    corpus: Url, config: CurriculumConfig, window_samples: int, seed: int
) -> dict[str, float]:
    """System → how well a linear probe tells it from the other systems, weakest first.

    The strength is the area under the ROC curve of a logistic regression for this system against
    all others, on speakers that the regression did not see: 0.5 for no fingerprint, 1 for one that
    is always seen.

    Args:
        corpus: the training split is probed.
        window_samples: of each clip that the probe sees.

    Raises:
        UsageError: fewer than two systems, or fewer speakers than folds.
    """
    features, systems, groups = _probed(corpus, config, window_samples, seed)
    names = sorted(set(systems.tolist()))
    if len(names) < 2 or len(set(groups.tolist())) < _FOLDS:
        raise UsageError(
            f"a curriculum sorts systems by speakers held out: {len(names)} systems of "
            f"{len(set(groups.tolist()))} speakers are too few",
            f"build a corpus of 2 systems and {_FOLDS} speakers at least, or leave it out",
        )
    scores = _held_out_scores(features, systems, groups, names)
    areas = {
        name: auc(scores[systems == name, column], scores[systems != name, column])
        for column, name in enumerate(names)
    }
    return dict(sorted(areas.items(), key=lambda pair: (pair[1], pair[0])))


@dataclass(frozen=True)
class _Seen:
    features: np.ndarray
    system: str
    group: str


def _probed(
    corpus: Url, config: CurriculumConfig, window_samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Features (N, F), systems (N,), groups (N,) of at most `probe_clips` clips a system."""
    embed = spectrum if config.probed == "spectrum" else _embeddings(config.probed)
    rows = list(_clips(corpus, config.probe_clips, window_samples, embed, seed))
    return (
        np.array([row.features for row in rows]),
        np.array([row.system for row in rows]),
        np.array([row.group for row in rows]),
    )


def _clips(corpus: Url, most: int, window_samples: int, embed: Embed, seed: int) -> Iterator[_Seen]:
    counts: dict[str, int] = {}
    items = shards.open(corpus, "train", seed=seed, rank=0, world_size=1)
    for item in items:
        meta = item.meta
        if meta.label == "bonafide" or counts.get(meta.system, 0) >= most:
            continue
        samples, rate, _ = decode(item)
        try:
            windows = cut(Waveform(samples, rate), rate, window_samples, SpeechConfig()).windows
        except MediaError:
            continue
        counts[meta.system] = counts.get(meta.system, 0) + 1
        yield _Seen(embed(windows[0].samples), meta.system, meta.group)


def spectrum(window: np.ndarray) -> np.ndarray:
    """Mean and deviation over time of log band energies, and of their changes: float64 (4 * 64,).

    The level is taken off, and so is what lies 60 dB below the loudest band.
    """
    frames = np.lib.stride_tricks.sliding_window_view(window.astype(np.float64), _FFT)[::_HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(_FFT), axis=1))[:, 1:] ** 2
    level = 10 * np.log10(power.reshape(len(power), _BANDS, -1).mean(axis=2) + 1e-12)
    level = np.maximum(level - level.max(), -60.0)
    changes = np.abs(np.diff(level, axis=0))
    parts = [level.mean(axis=0), level.std(axis=0), changes.mean(axis=0), changes.std(axis=0)]
    return np.concatenate(parts)


def _embeddings(folder: str) -> Embed:
    """The embeddings of a trained network: what it made of forgeries before its last layer."""
    import torch

    from forensics.detectors.base import DETECTORS
    from forensics.detectors.bundle import Bundle

    bundle = Bundle.load(Path(folder))
    kind: Any = DETECTORS.get(bundle.config.detector)
    network = kind.trained_network(bundle)

    def embed(window: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return network.describe(torch.from_numpy(window)[None]).embedding[0].double().numpy()

    return embed


def _held_out_scores(
    features: np.ndarray, systems: np.ndarray, groups: np.ndarray, names: list[str]
) -> np.ndarray:
    """Log probabilities (N, systems) by a regression that did not see the row's speaker."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GroupKFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    scores = np.full((len(systems), len(names)), _NEVER)
    for seen, unseen in GroupKFold(_FOLDS).split(features, systems, groups):
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
        probe.fit(features[seen], systems[seen])
        places = np.array([names.index(name) for name in probe.classes_])
        found = np.maximum(probe.predict_log_proba(features[unseen]), _NEVER)
        scores[np.ix_(unseen, places)] = found
    return scores
