"""What the engines that run in torch share: finding weights, seeding, checking what came out."""

from __future__ import annotations

import contextlib
import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import Field

from forensics.errors import MediaError, UsageError
from forensics.generators.base import Generated, GeneratorParams, SpeechGenerator, SpeechRequest
from forensics.generators.speech.common import each
from forensics.media.audio import Waveform
from forensics.requirements import model_folder

# Passed to every `from_pretrained`: no network, no pickles, no code from a model's folder.
LOCAL_ONLY: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
WEIGHTS: dict[str, Any] = {**LOCAL_ONLY, "use_safetensors": True}
_HASHED = ("*.json", "*.safetensors", "*.yaml", "*.txt", "*.model", "*.npy")


class TorchParams(GeneratorParams):
    """Parameters of every engine that runs in torch.

    Attributes:
        model: a local folder, or a hub id that is already in the local cache.
        device: a torch device, "cpu" or "cuda"; samples differ in their last bits between devices.
        threads: CPU threads; they too change the last bits, so they are fixed, not taken from the
            machine.
    """

    model: str | None = None
    device: str = "cpu"
    threads: int = Field(default=1, ge=1)


P = TypeVar("P", bound=TorchParams)


class TorchGenerator(SpeechGenerator, Generic[P]):
    """Base of the engines that run in torch, one item at a time, seeded and offline.

    Subclasses load the model in `load` and make one utterance in `forge`.
    """

    Params: ClassVar[type[GeneratorParams]] = TorchParams
    params: P

    def fingerprint(self) -> str:
        return "-".join((self.version, *(digest(folder) for folder in self.folders())))

    def folders(self) -> list[Path]:
        """The model folders that the output depends on.

        Raises:
            MissingRequirement: there is none, see `check`.
        """
        return [model_folder(self.params.model)]

    @abstractmethod
    def forge(self, request: SpeechRequest) -> tuple[Any, int, dict[str, Any]]:
        """Samples (T,), their rate in Hz, and what was drawn. Runs seeded, without gradients."""

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._one)

    def _one(self, request: SpeechRequest) -> Generated:
        with seeded(request.seed, self.params.device, self.params.threads):
            samples, rate, details = self.forge(request)
            return finished(samples, rate, details)


def read_config(folder: Path, name: str = "config.json") -> dict[str, Any]:
    """A JSON file of a model folder; empty when there is none."""
    path = folder / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def digest(folder: Path) -> str:
    """SHA-256 (16 hex digits) over the names and bytes of a model folder's configs and weights."""
    total = hashlib.sha256()
    found = {path for pattern in _HASHED for path in folder.rglob(pattern)}
    for path in sorted(found):
        total.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]


@contextlib.contextmanager
def seeded(seed: int, device: str, threads: int) -> Iterator[None]:
    """Torch's generators seeded, threads fixed, no gradients; the caller's state comes back."""
    import torch

    place = torch.device(device)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with (
            torch.random.fork_rng(devices=[place] if place.type == "cuda" else []),
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
            torch.inference_mode(),
        ):
            torch.manual_seed(seed)
            yield
    finally:
        torch.set_num_threads(before)


def loaded(cls: Any, folder: Path, device: str) -> Any:
    """A transformers model from a local folder's safetensors, in eval mode on `device`."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        return cls.from_pretrained(str(folder), **WEIGHTS).eval().to(device)
    finally:
        if shown:
            logging.enable_progress_bar()


def finished(samples: Any, rate: int, details: dict[str, Any]) -> Generated:
    """Check what a model made and hand it over as float32 mono.

    Raises:
        MediaError: `empty` or `invalid_samples`.
    """
    mono = _numpy(samples)
    if len(mono) == 0:
        raise MediaError("empty", "the engine made no samples", "give it another text")
    if not np.isfinite(mono).all():
        raise MediaError("invalid_samples", "the engine made NaN or infinite samples")
    return Generated(Waveform(mono, int(rate)), details)


def resynthesised(
    request: SpeechRequest, rate: int, shortest: int, make: Callable[[np.ndarray], Any]
) -> np.ndarray:
    """Copy synthesis: `make` gets the reference at `rate`; its output is cut to that length.

    `make` takes float32 (T,) and returns (T',) samples aligned with its input.

    Raises:
        UsageError: the request has no reference.
        MediaError: `too_short` when there are fewer than `shortest` samples.
    """
    if request.reference is None:
        raise UsageError(f"{request.key}: there is no recording to re-synthesise", "give it one")
    samples = request.reference.resampled(rate).samples
    if len(samples) < shortest:
        raise MediaError(
            "too_short", f"{len(samples)} samples at {rate} Hz, the model needs {shortest}"
        )
    made = _numpy(make(samples))
    return np.pad(made[: len(samples)], (0, max(0, len(samples) - len(made))))


def blurred(mel: Any, frames: float) -> Any:
    """Log mel (B, n_mels, T), convolved with a Gaussian of so many frames and a third in bands."""
    import torch
    from torch.nn import functional as F

    if frames <= 0:
        return mel
    image = mel.unsqueeze(1)
    for deviation, shape in ((frames, (1, -1)), (frames / 3, (-1, 1))):
        reach = max(1, round(3 * deviation))
        steps = torch.arange(-reach, reach + 1, device=mel.device)
        kernel = torch.exp(-0.5 * (steps / deviation) ** 2)
        kernel = (kernel / kernel.sum()).view(1, 1, *shape)
        padding = (reach, reach, 0, 0) if shape[0] == 1 else (0, 0, reach, reach)
        image = F.conv2d(F.pad(image, padding, mode="replicate"), kernel)
    return image.squeeze(1)


def _numpy(samples: Any) -> np.ndarray:
    """A tensor or array of any device and shape as float32 (T,)."""
    if hasattr(samples, "detach"):
        samples = samples.detach().float().cpu().numpy()
    return np.ascontiguousarray(np.asarray(samples, dtype=np.float32).reshape(-1))
