"""RawBoost: noise and distortion drawn for each clip (Tak et al., ICASSP 2022).

`rawboost` works on any 1-D array and serves training as well as the corpus builder.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import Field, PositiveInt

from forensics.conditions.base import Condition, register_condition
from forensics.draws import Range, pick, uniform, within
from forensics.media.audio import Waveform
from forensics.media.samples import with_samples

Algorithm = Literal[1, 2, 3, 4, 5, 6, 7, 8]

_LNL, _ISD, _SSI = 1, 2, 3
_SERIES: dict[int, tuple[int, ...]] = {
    1: (_LNL,),
    2: (_ISD,),
    3: (_SSI,),
    4: (_LNL, _ISD, _SSI),
    5: (_LNL, _ISD),
    6: (_LNL, _SSI),
    7: (_ISD, _SSI),
}
_PARALLEL = 8  # LNL and ISD of the same input, summed


@register_condition
class RawBoost(Condition):
    """The defaults are the paper's; every number is drawn uniformly from its range.

    Algorithms: 1 LnL (convolutive, with harmonics), 2 ISD (impulsive, tied to the signal),
    3 SSI (stationary, coloured, independent of the signal); 4 = 1, 2, 3 in series; 5 = 1, 2;
    6 = 1, 3; 7 = 2, 3; 8 = 1 and 2 in parallel.
    """

    name: ClassVar[str] = "rawboost"
    summary: ClassVar[str] = "RawBoost: convolutive, impulsive and stationary disturbances"
    algorithms: tuple[Algorithm, ...] = Field(default=(1, 2, 3, 4, 5, 6, 7, 8), min_length=1)
    bands: PositiveInt = Field(default=5, description="notches in a filter")
    centre_hz: Annotated[Range, within(1, 96_000)] = (20.0, 8000.0)
    width_hz: Annotated[Range, within(1, 96_000)] = (100.0, 1000.0)
    taps: Annotated[Range, within(3, 2000)] = (10.0, 100.0)
    gain_db: Range = (0.0, 0.0)
    orders: PositiveInt = Field(default=5, description="LnL: powers of the signal that are summed")
    bias_db: Range = Field(default=(5.0, 20.0), description="LnL: how far higher powers lie below")
    max_percent: float = Field(
        default=10.0, ge=0, le=100, description="ISD: most samples that it hits"
    )
    deviation: float = Field(default=2.0, ge=0, le=10, description="ISD: its strength")
    snr_db: Annotated[Range, within(-30, 90)] = (10.0, 40.0)

    def apply(self, wave: Waveform, rng: np.random.Generator) -> tuple[Waveform, dict[str, Any]]:
        algorithm = pick(rng, self.algorithms)
        boosted, drawn = rawboost(wave.samples, wave.sampling_rate, algorithm, rng, self)
        return with_samples(wave, boosted), {"algorithm": algorithm, **drawn}


def rawboost(
    samples: np.ndarray,
    sampling_rate: int,
    algorithm: Algorithm,
    rng: np.random.Generator,
    settings: RawBoost | None = None,
) -> tuple[np.ndarray, dict[str, float]]:
    """Apply one algorithm to float samples (T,).

    Returns:
        float32 (T,) and the scalars that were drawn: `isd_percent`, `snr_db`. Silence stays silent.
    """
    settings = settings or RawBoost()
    x = np.asarray(samples, dtype=np.float32)
    drawn: dict[str, float] = {}
    if len(x) == 0:
        return x, drawn
    if algorithm == _PARALLEL:
        convolved = _lnl(x, sampling_rate, rng, settings)
        return _limited(convolved + _isd(x, rng, settings, drawn)), drawn
    for step in _SERIES[algorithm]:
        if step == _LNL:
            x = _lnl(x, sampling_rate, rng, settings)
        elif step == _ISD:
            x = _isd(x, rng, settings, drawn)
        else:
            x = _ssi(x, sampling_rate, rng, settings, drawn)
    return x, drawn


def _lnl(x: np.ndarray, rate: int, rng: np.random.Generator, settings: RawBoost) -> np.ndarray:
    """Sum over i of filter_i(x^i): linear and non-linear convolutive noise."""
    biased = np.subtract(settings.gain_db, settings.bias_db)
    gains = [settings.gain_db] + [(biased.min(), biased.max())] * (settings.orders - 1)
    filters = [_notch_filter(rate, gain, rng, settings) for gain in gains]
    powers = np.cumprod(np.broadcast_to(x, (settings.orders, len(x))), axis=0)
    y = _filtered(powers, filters).sum(axis=0)
    return _limited(y - y.mean())


def _isd(
    x: np.ndarray, rng: np.random.Generator, settings: RawBoost, drawn: dict[str, float]
) -> np.ndarray:
    """Impulsive noise: random samples move by a random share of themselves."""
    drawn["isd_percent"] = uniform(rng, (0.0, settings.max_percent))
    count = int(len(x) * drawn["isd_percent"] / 100)
    hit = rng.choice(len(x), count, replace=False, shuffle=False)
    share = rng.uniform(-1, 1, count) * rng.uniform(-1, 1, count)
    y = x.copy()
    y[hit] += (settings.deviation * share).astype(np.float32) * x[hit]
    return _limited(y)


def _ssi(
    x: np.ndarray,
    rate: int,
    rng: np.random.Generator,
    settings: RawBoost,
    drawn: dict[str, float],
) -> np.ndarray:
    """Stationary noise with a random spectrum at an SNR over the whole clip."""
    drawn["snr_db"] = uniform(rng, settings.snr_db)
    white = rng.standard_normal(len(x), dtype=np.float32)
    coloured = _notch_filter(rate, settings.gain_db, rng, settings)
    noise = _filtered(white[None], [coloured])[0]
    wanted = np.linalg.norm(x) * 10 ** (-drawn["snr_db"] / 20)
    return x + noise * np.float32(wanted / max(float(np.linalg.norm(noise)), 1e-12))


def _notch_filter(
    rate: int, gain_db: tuple[float, float], rng: np.random.Generator, settings: RawBoost
) -> np.ndarray:
    """A chain of random band-stop FIR filters (odd length), its peak at the drawn gain."""
    from scipy.signal import firwin

    nyquist = rate / 2
    low, high = settings.centre_hz
    response = np.ones(1)
    for _ in range(settings.bands):
        # The reference assumes 16 kHz; at lower rates centres stay below the Nyquist frequency.
        centre = uniform(rng, (min(low, nyquist), min(high, nyquist)))
        half = uniform(rng, settings.width_hz) / 2
        taps = int(uniform(rng, settings.taps)) | 1
        edges = [max(centre - half, 1e-3), min(centre + half, nyquist - 1e-3)]
        notch = np.asarray(firwin(taps, edges, window="hamming", fs=rate))
        response = np.convolve(response, notch)
    peak = np.abs(np.fft.rfft(response, max(1024, len(response)))).max()
    return response * (10 ** (uniform(rng, gain_db) / 20) / peak)


def _filtered(signals: np.ndarray, filters: list[np.ndarray]) -> np.ndarray:
    """Each row (T,) through its own odd-length filter; (len(filters), T), one sample early.

    The reference cuts (len + 1) / 2 samples at the front, one more than the filter's delay.
    """
    from scipy.signal import oaconvolve

    longest = max(map(len, filters))
    bank = np.zeros((len(filters), longest), dtype=np.float32)
    for row, response in zip(bank, filters, strict=True):
        start = (longest - len(response)) // 2
        row[start : start + len(response)] = response
    full = oaconvolve(signals, bank, axes=-1)
    delay = (longest + 1) // 2
    return full[:, delay : delay + signals.shape[1]]


def _limited(x: np.ndarray) -> np.ndarray:
    """Divided by its peak only where that exceeds 1."""
    return x / max(float(np.abs(x).max()), 1.0)
