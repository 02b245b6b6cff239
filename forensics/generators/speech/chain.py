"""A TTS whose speech a vocoder makes anew: text-driven content with a neural vocoder's traces.

Neural TTS is built so: an acoustic model, then a vocoder. Here the first part is any TTS engine of
the registry, so that such speech can be had where no neural TTS can.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from forensics.errors import UsageError
from forensics.generators.base import (
    GENERATORS,
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechRequest,
    register_generator,
)
from forensics.requirements import Requirement


class Link(BaseModel):
    """A registered generator and its parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    use: str
    params: dict[str, Any] = {}


class ChainParams(GeneratorParams):
    """Parameters: the engine that reads, and the one that makes its speech anew."""

    tts: Link = Link(use="espeak")
    vocoder: Link = Link(use="own-fourier")


@register_generator
class Chain(SpeechGenerator):
    """Both parts get the request's seed; the details of both are kept.

    Raises:
        UsageError: the parts are not a TTS and a vocoder or codec.
    """

    name = "chain"
    version = "1"
    kind = "tts"
    licence = "that of its parts"
    summary = "A TTS followed by a vocoder or codec"
    Params: ClassVar[type[GeneratorParams]] = ChainParams
    params: ChainParams

    def __init__(self, **params: Any):
        super().__init__(**params)
        self._tts = _made(self.params.tts, ("tts",))
        self._vocoder = _made(self.params.vocoder, ("vocoder", "codec"))

    def requirements(self) -> tuple[Requirement, ...]:
        return (*self._tts.requirements(), *self._vocoder.requirements())

    def fingerprint(self) -> str:
        return f"{self.version};{self._tts.fingerprint()};{self._vocoder.fingerprint()}"

    def load(self) -> None:
        self._tts.load()
        self._vocoder.load()

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return [
            self._resynthesise(request, read)
            for request, read in zip(batch, self._tts.generate(batch), strict=True)
        ]

    def _resynthesise(
        self, request: SpeechRequest, read: Generated | Exception
    ) -> Generated | Exception:
        if isinstance(read, Exception):
            return read
        made = self._vocoder.generate([replace(request, reference=read.waveform)])[0]
        if isinstance(made, Exception):
            return made
        details = {self.params.tts.use: read.details, self.params.vocoder.use: made.details}
        return Generated(made.waveform, details)


def _made(link: Link, kinds: tuple[str, ...]) -> SpeechGenerator:
    cls = GENERATORS.get(link.use)
    if cls.kind not in kinds:
        raise UsageError(
            f"chain: {link.use!r} is a {cls.kind}", f"name a {' or '.join(kinds)} there"
        )
    return cls(**link.params)
