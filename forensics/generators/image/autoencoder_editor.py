"""What generators have that go through a latent autoencoder."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, TypeVar

from pydantic import Field

from forensics.generators.base import Generator, GeneratorParams
from forensics.generators.image.autoencoder import (
    Autoencoder,
    AutoencoderWeights,
    load_autoencoder,
)
from forensics.generators.image.base import ImageEditor
from forensics.generators.speech.neural import digest
from forensics.requirements import Requirement

P = TypeVar("P", bound="AutoencoderParams")


class AutoencoderParams(GeneratorParams):
    """Parameters of generators that go through an autoencoder.

    Attributes:
        weights: folder of TAEF2 (`forensics import-weights taef2`) or of a diffusers
            `AutoencoderTiny` or `AutoencoderKL`.
        device: a torch device; pixels differ in their last bits between devices.
        threads: CPU threads.
    """

    weights: str | None = None
    device: str = "cpu"
    threads: int = Field(default=1, ge=1)


class AutoencoderGenerator(Generator, Generic[P]):
    """A generator that loads an autoencoder."""

    licence = "Apache-2.0 (code); that of the weights"
    params: P  # pyright: ignore[reportIncompatibleVariableOverride]

    def requirements(self) -> tuple[Requirement, ...]:
        return (AutoencoderWeights(self.params.weights),)

    def fingerprint(self) -> str:
        if self.params.weights is None:
            return self.version
        return f"{self.version};{digest(Path(self.params.weights).expanduser())}"

    def load(self) -> None:
        folder = Path(self.params.weights or "").expanduser()
        self._autoencoder = load_autoencoder(folder, self.params.device)

    @property
    def autoencoder(self) -> Autoencoder:
        return self._autoencoder


class AutoencoderEditor(AutoencoderGenerator[P], ImageEditor):
    """An editor that loads an autoencoder."""
