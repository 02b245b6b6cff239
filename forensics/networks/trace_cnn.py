"""A small CNN that looks at the texture of speech, not at what is said, by whom, or in which room.

Each view is an STFT at a resolution of its own. Its cells hold the level relative to their
surroundings in time and frequency, which takes away formants, rooms and channels, and how the phase
moves from frame to frame and from bin to bin, which vocoders must make up. Residual stages with a
short reach give frames; attentive statistics pooling (Okabe, Koshinaka & Shinoda, Interspeech 2018)
makes one vector of them, and the vectors of all views give one logit.
"""

from __future__ import annotations

import itertools

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.networks.described import Described
from forensics.networks.explained import Explained
from forensics.networks.log_spectrum import any_in_step, mean_in_step

_MASKED = -1e4


class View(BaseModel):
    """One STFT and the stages that look at it.

    Attributes:
        n_fft: samples of a spectrum and of its Hann window.
        hop: samples between spectra; divides `n_fft`.
        bands: equally wide bands that the spectrum is averaged to, from 0 Hz to `top_hz`.
        level: give the level of a cell, relative to the mean of its band.
        contrast: give the level of a cell, relative to the cells around it.
        surroundings: how many (bands, frames) lie around a cell; odd.
        phase: give the advance of the phase over time, as (cosine, sine), as far as a band agrees
            on it.
        delay: give the advance of the phase over frequency likewise: the group delay, which says
            where in the frame the energy of a band lies. In speech the pulses of the glottis; a
            vocoder lines them up across bands in a way of its own.
        channels: of the stages; the first convolution and each later stage halve both axes.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    n_fft: int = Field(default=1024, ge=64, le=4096)
    hop: int = Field(default=256, ge=16, le=1024)
    bands: int = Field(default=224, ge=16, le=512)
    level: bool = False
    contrast: bool = True
    surroundings: tuple[int, int] = (15, 15)
    phase: bool = True
    delay: bool = False
    channels: tuple[int, ...] = (16, 32, 48, 64)

    @model_validator(mode="after")
    def _divides(self) -> View:
        if self.n_fft % self.hop:
            raise ValueError("hop must divide n_fft")
        return self


class TraceCnnConfig(BaseModel):
    """Sizes of the network.

    Attributes:
        top_hz: nothing above is heard.
        range_db: what lies further below the loudest cell of the window counts as that far below.
        active_db: frames quieter than this below the loudest frame take no part in the pooling.
        embedding: values per frame before pooling, for each view.
        dropout: before the last layer, in training.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    sampling_rate: int = 16_000
    views: tuple[View, ...] = (
        View(),
        View(n_fft=256, hop=64, bands=56, surroundings=(7, 25)),
    )
    top_hz: float = Field(default=7000.0, gt=1000.0, le=24_000.0)
    range_db: float = Field(default=70.0, gt=0)
    active_db: float = Field(default=40.0, gt=0)
    embedding: int = Field(default=64, ge=8, le=512)
    dropout: float = Field(default=0.3, ge=0, lt=1)


class Cells(nn.Module):
    """(B, T) samples → cells float32 (B, channels, bands, frames), active frames (B, frames).

    In an exported graph the Fourier transform is a product with a matrix.
    """

    def __init__(self, config: TraceCnnConfig, view: View):
        super().__init__()
        self.config, self.view = config, view
        averaging = band_matrix(config, view)
        heard = int(averaging.sum(dim=0).nonzero().max()) + 1
        self.averaging: Tensor
        self.basis: Tensor
        self.window: Tensor
        self.turn: Tensor
        self.register_buffer("averaging", averaging[:, :heard].T.contiguous(), persistent=False)
        self.register_buffer("basis", fourier_basis(view.n_fft, heard), persistent=False)
        self.register_buffer("window", torch.hann_window(view.n_fft), persistent=False)
        centres = (torch.arange(view.bands) + 0.5) * config.top_hz / view.bands
        angle = 2 * torch.pi * centres * view.hop / config.sampling_rate
        turn = torch.stack([angle.cos(), angle.sin()])
        self.register_buffer("turn", turn, persistent=False)

    @property
    def channels(self) -> int:
        return self.view.level + self.view.contrast + 2 * (self.view.phase + self.view.delay)

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        view, config = self.view, self.config
        real, imaginary = self._spectrum(self._frames(samples))
        power = (real.square() + imaginary.square()) @ self.averaging
        level = 10 * power.clamp(min=1e-12).log10()
        level = level - level.amax(dim=(1, 2), keepdim=True)
        frames = 10 * power.sum(dim=2).clamp(min=1e-12).log10()
        active = frames > frames.amax(dim=1, keepdim=True) - config.active_db
        level = level.clamp(min=-config.range_db)
        parts = []
        if view.level:
            kept = active.unsqueeze(2)
            mean = (level * kept).sum(dim=1, keepdim=True) / kept.sum(dim=1, keepdim=True)
            parts.append((level - mean) / 10)
        if view.contrast:
            rows, columns = (size // 2 for size in view.surroundings)
            around = mean_around(mean_around(level, 0, rows), columns, 0)
            parts.append((level - around) / 8)
        loud = ((level + config.range_db - 10) / 10).clamp(0, 1)
        if view.phase:
            parts += [part * loud for part in self._advance(real, imaginary)]
        if view.delay:
            parts += [part * loud for part in self._delay(real, imaginary)]
        return torch.stack(parts, dim=1).transpose(2, 3), active

    def _frames(self, samples: Tensor) -> Tensor:
        """(B, T) → overlapping frames (B, T // hop + 1, n_fft), the first centred on sample 0."""
        n_fft, hop = self.view.n_fft, self.view.hop
        count = samples.shape[1] // hop + 1
        padded = F.pad(samples.unsqueeze(1), (n_fft // 2, n_fft // 2), mode="reflect").squeeze(1)
        blocks = padded[:, : (count - 1) * hop + n_fft].unflatten(1, (-1, hop))
        return torch.cat([blocks[:, i : i + count] for i in range(n_fft // hop)], dim=2)

    def _spectrum(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts (B, frames, bins) of the bins that are heard."""
        if torch.compiler.is_exporting():
            real, imaginary = (frames @ self.basis).chunk(2, dim=2)
            return real, imaginary
        heard = self.basis.shape[1] // 2
        spectrum = torch.fft.rfft(frames * self.window)[:, :, :heard]
        return spectrum.real.contiguous(), spectrum.imag.contiguous()

    def _advance(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """How the phase advances beyond what a tone in mid-band would; (B, frames, bands)."""
        real_before = F.pad(real[:, :-1], (0, 0, 1, 0))
        imaginary_before = F.pad(imaginary[:, :-1], (0, 0, 1, 0))
        same, across = self._turned(real, imaginary, real_before, imaginary_before)
        cosine, sine = self.turn
        return same * cosine + across * sine, across * cosine - same * sine

    def _delay(self, real: Tensor, imaginary: Tensor) -> tuple[Tensor, Tensor]:
        """How the phase advances from bin to bin, 0 for an impulse in mid-frame; likewise."""
        same, across = self._turned(
            real, imaginary, F.pad(real[:, :, :-1], (1, 0)), F.pad(imaginary[:, :, :-1], (1, 0))
        )
        return -same, -across  # the phase counts from the frame's beginning: half a turn a bin

    def _turned(
        self, real: Tensor, imaginary: Tensor, real_before: Tensor, imaginary_before: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(Cosine, sine) of the angle from one spectrum to another, the mean of each band."""
        same = real * real_before + imaginary * imaginary_before
        across = imaginary * real_before - real * imaginary_before
        weight = ((same.square() + across.square() + 1e-20).sqrt() @ self.averaging).clamp(min=1e-9)
        return same @ self.averaging / weight, across @ self.averaging / weight


def mean_around(cells: Tensor, rows: int, columns: int) -> Tensor:
    """Mean over so many cells to both sides, fewer at the borders; (B, F, T) → the same shape."""
    size, padding = (2 * rows + 1, 2 * columns + 1), (rows, columns)
    return F.avg_pool2d(cells, size, 1, padding, count_include_pad=False)


class ResidualBlock(nn.Module):
    """(B, in, F, T) → (B, out, F / 2, T / 2)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Sequential(
            nn.AvgPool2d(2, 2, ceil_mode=True),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        inner = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(inner + self.shortcut(x))


class ViewNetwork(nn.Module):
    """(B, T) samples → pooled (B, 2 * embedding), and the attention over time (B, steps)."""

    def __init__(self, config: TraceCnnConfig, view: View):
        super().__init__()
        self.cells = Cells(config, view)
        first = view.channels[0]
        self.stem = nn.Sequential(
            nn.Conv2d(self.cells.channels, first, 5, 2, 2, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
        )
        self.stages = nn.Sequential(
            *(ResidualBlock(before, after) for before, after in itertools.pairwise(view.channels))
        )
        rows = view.bands
        for _ in view.channels:
            rows = (rows + 1) // 2
        self.frame = nn.Sequential(
            nn.Linear(view.channels[-1] * rows, config.embedding),
            nn.LayerNorm(config.embedding),
            nn.GELU(),
        )
        self.attention = nn.Sequential(
            nn.Linear(config.embedding, config.embedding // 2),
            nn.Tanh(),
            nn.Linear(config.embedding // 2, 1),
        )

    def forward(self, samples: Tensor) -> tuple[Tensor, Tensor]:
        cells, active = self.cells(samples)
        maps = self.stages(self.stem(cells))
        frames = self.frame(maps.flatten(1, 2).transpose(1, 2))
        scores = self.attention(frames).squeeze(2)
        weights = scores.masked_fill(~any_in_step(active, frames.shape[1]), _MASKED).softmax(dim=1)
        shares = weights.unsqueeze(2)
        mean = (shares * frames).sum(dim=1)
        variance = (shares * (frames - mean.unsqueeze(1)).square()).sum(dim=1)
        return torch.cat([mean, (variance + 1e-4).sqrt()], dim=1), weights


class TraceCnn(nn.Module):
    """float32 (B, T) samples → logits float32 (B,), higher = bona fide.

    Any T of a quarter of a second or more; a batch's rows do not influence each other in `eval`.
    """

    explains_for_free = True

    def __init__(self, config: TraceCnnConfig):
        super().__init__()
        self.config = config
        self.views = nn.ModuleList(ViewNetwork(config, view) for view in config.views)
        self.head = nn.Sequential(
            nn.Dropout(config.dropout), nn.Linear(2 * config.embedding * len(config.views), 1)
        )

    def forward(self, samples: Tensor) -> Tensor:
        return self.describe(samples).score

    def describe(self, samples: Tensor) -> Described:
        """Scores of samples (B, T), and the pooled statistics of all views behind them."""
        pooled = torch.cat([view(samples)[0] for view in self.views], dim=1)
        return Described(self.head(pooled).squeeze(1), pooled)

    def explain(self, samples: Tensor) -> Explained:
        """The logits again, with the mean of the views' attention, in the coarsest view's steps."""
        pooled, weights = zip(*(view(samples) for view in self.views), strict=True)
        steps = min(each.shape[1] for each in weights)
        shares = [mean_in_step(each, steps) for each in weights]
        time = torch.stack([each / each.sum(dim=1, keepdim=True) for each in shares]).mean(dim=0)
        return Explained(self.head(torch.cat(pooled, dim=1)).squeeze(1), time)


def fourier_basis(n_fft: int, bins: int) -> Tensor:
    """A windowed frame (n_fft,) times this gives the real, then the imaginary parts (2 * bins)."""
    samples = torch.arange(n_fft, dtype=torch.float64)
    angles = 2 * torch.pi * torch.outer(samples, torch.arange(bins, dtype=torch.float64)) / n_fft
    window = torch.hann_window(n_fft, dtype=torch.float64).unsqueeze(1)
    return (window * torch.cat([angles.cos(), -angles.sin()], dim=1)).float()


def band_matrix(config: TraceCnnConfig, view: View) -> Tensor:
    """Averages bins to equally wide bands, float32 (bands, n_fft // 2 + 1); each row sums to 1."""
    bins = torch.arange(view.n_fft // 2 + 1) * config.sampling_rate / view.n_fft
    width = config.top_hz / view.bands
    tips = (torch.arange(view.bands) + 0.5) * width
    rise = 1 - (bins - tips.unsqueeze(1)).abs() / max(width, config.sampling_rate / view.n_fft)
    weights = rise.clamp(min=0)
    return weights / weights.sum(dim=1, keepdim=True)
