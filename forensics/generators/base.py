"""The contract of a generator, and of those that forge speech: a batch of requests in, a batch of
forged media out. Editors of images have theirs in `forensics.generators.image.base`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from forensics.errors import MissingRequirement
from forensics.media.audio import Waveform
from forensics.registry import Registry
from forensics.requirements import Requirement, lacking

SpeechKind = Literal["tts", "vocoder", "codec", "vc"]


class GeneratorParams(BaseModel):
    """Base of a generator's parameters: unknown names are errors, values are frozen."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class SpeechRequest:
    """What one forged utterance is made from.

    Attributes:
        key: item key, for messages only.
        seed: drives every random choice; the same request and seed give the same samples.
        text: what a TTS reads.
        language: BCP-47 tag of the text, e.g. "en".
        reference: the bona fide utterance: what a vocoder or codec re-synthesises, and the voice
            that a cloning TTS imitates. Mono. None when a TTS reads a text that nobody spoke.
        reference_text: what is said in `reference`, where known: some cloning TTS want it.
    """

    key: str
    seed: int
    text: str
    language: str
    reference: Waveform | None
    reference_text: str | None = None


@dataclass(frozen=True)
class Generated:
    """One forged utterance: mono, at the engine's own rate, and what was drawn to make it."""

    waveform: Waveform
    details: dict[str, Any] = field(default_factory=dict)


class Generator(ABC):
    """What every engine that forges has, whatever it forges.

    Subclasses set the class attributes and list what they need in `requirements`. `load` runs once
    per worker before the first call. Heavy packages are imported inside `load` and where the work
    is done, never at module level. The network is never used.
    """

    name: ClassVar[str]
    version: ClassVar[str]
    licence: ClassVar[str]
    summary: ClassVar[str]
    Params: ClassVar[type[GeneratorParams]] = GeneratorParams

    def __init__(self, **params: Any):
        self.params = self.Params(**params)

    def requirements(self) -> tuple[Requirement, ...]:
        """What must be on the machine; may depend on the parameters."""
        return ()

    def check(self) -> list[MissingRequirement]:
        """What is missing, each with the command that gets it. Empty: ready to run."""
        return lacking(self.requirements())

    def fingerprint(self) -> str:
        """What the output depends on besides request and parameters: version, weights' hash.

        Part of the plan's hash, so a changed engine never mixes into an old corpus.
        """
        return self.version

    def load(self) -> None:  # noqa: B027
        """Load weights and libraries into this process."""


class SpeechGenerator(Generator):
    """One TTS engine, vocoder or neural codec: a generator with a `generate`.

    `batch_size` is how many requests one call should get at most.
    """

    kind: ClassVar[SpeechKind]
    modality: ClassVar[str] = "speech"
    batch_size: ClassVar[int] = 1

    @abstractmethod
    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        """Forge a batch, in order. An item that fails is returned as its exception.

        The result of an item must not depend on its neighbours in the batch.
        """


GENERATORS: Registry[SpeechGenerator] = Registry(
    "generator", "forensics.generators", "forensics.generators"
)
register_generator = GENERATORS.register
