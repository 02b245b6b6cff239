"""Flite, CMU's small engine: diphone, unit-selection and statistical voices of English.

Black & Lenzo, "Flite: a small fast run-time synthesis engine", SSW4 2001.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from forensics.draws import Range, pick, uniform, within
from forensics.errors import UsageError
from forensics.generators.base import (
    Generated,
    GeneratorParams,
    SpeechGenerator,
    SpeechKind,
    SpeechRequest,
    register_generator,
)
from forensics.generators.speech.common import (
    each,
    english_text,
    run_program,
    speak_to_file,
    weights_digest,
)
from forensics.requirements import Program, Requirement

_INSTALL = "apt-get install flite (Debian, Ubuntu) or brew install flite (macOS)"


class FliteParams(GeneratorParams):
    """Parameters of `flite`.

    Attributes:
        voices: one is drawn per item: a built-in voice, or the path of a `.flitevox` file. The
            default leaves out `kal`, which flite uses when none is named: it is at 8 kHz, and the
            missing upper half would give it away.
        stretch: [low, high] of the factor on all durations (0.5 to 2).
        timeout_s: seconds after which an utterance is given up.
    """

    voices: tuple[str, ...] = Field(("kal16", "slt", "rms", "awb"), min_length=1)
    stretch: Annotated[Range, within(0.5, 2.0)] = (0.9, 1.15)
    timeout_s: float = Field(60.0, gt=0)


@register_generator
class Flite(SpeechGenerator):
    """English, 16 kHz for the default voices, through the `flite` program."""

    name: ClassVar[str] = "flite"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "tts"
    licence: ClassVar[str] = "MIT-Festival"
    summary: ClassVar[str] = "Flite, diphone and unit-selection voices of English"
    Params: ClassVar[type[GeneratorParams]] = FliteParams
    params: FliteParams

    def requirements(self) -> tuple[Requirement, ...]:
        return (Program("flite", _INSTALL),)

    def fingerprint(self) -> str:
        # It prints its version and exits with 1.
        said = run_program(["flite", "--version"], self.params.timeout_s, success=(0, 1)).decode()
        release = said.rpartition("version:")[2]
        files = [Path(v).expanduser() for v in self.params.voices if _is_file(v)]
        weights = f";{weights_digest(*files)}" if files else ""
        return f"{self.version};{release.strip()}{weights}"

    def load(self) -> None:
        """Raises:
        UsageError: an unknown voice. (flite itself would speak with `kal` and not say so.)
        """
        listed = run_program(["flite", "-lv"], self.params.timeout_s).decode()
        built_in = listed.partition(":")[2].split()
        for voice in self.params.voices:
            if voice not in built_in and not _is_file(voice):
                raise UsageError(
                    f"flite has no voice {voice!r}",
                    f"there are {', '.join(built_in)}, or name a .flitevox file",
                )

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._speak)

    def _speak(self, request: SpeechRequest) -> Generated:
        rng = np.random.default_rng(request.seed)
        voice = pick(rng, self.params.voices)
        stretch = round(uniform(rng, self.params.stretch), 3)
        named = str(Path(voice).expanduser()) if _is_file(voice) else voice

        def command(text: str, wav: str) -> list[str]:
            settings = ["--setf", f"duration_stretch={stretch}"]
            return ["flite", "-voice", named, *settings, "-f", text, "-o", wav]

        wave = speak_to_file(english_text(request, "flite"), command, self.params.timeout_s)
        return Generated(wave, {"voice": voice, "stretch": stretch})


def _is_file(voice: str) -> bool:
    return Path(voice).expanduser().is_file()
