"""Festival, the University of Edinburgh's engine: diphone and HMM voices of English.

Taylor, Black & Caley, "The architecture of the Festival speech synthesis system", SSW3 1998.
"""

from __future__ import annotations

import functools
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
from pydantic import AfterValidator, Field

from forensics.draws import Range, pick, uniform, within
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
from forensics.requirements import Program, Requirement, RequirementKind

_INSTALL = (
    "apt-get install festival festvox-kallpc16k (Debian, Ubuntu) or brew install festival (macOS)"
)
_TIMEOUT_S = 30.0
_LOCATION = re.compile(r'\(([a-z0-9_]+) \. "([^"]+)"\)')


def _symbol(voice: str) -> str:
    # The name becomes part of a Scheme expression.
    if not re.fullmatch(r"[a-z0-9_]+", voice):
        raise ValueError(f"{voice!r} is no Festival voice name (a-z, 0-9, _)")
    return voice


@dataclass(frozen=True)
class FestivalVoice:
    """A voice that Festival finds; the voices are packages of their own."""

    name: str
    kind: RequirementKind = "weights"

    def missing(self) -> str | None:
        if shutil.which("festival") is None or self.name in voice_folders():
            return None  # without the program, its own requirement says so
        return f"Festival voice {self.name!r} is not installed"

    def fix(self) -> str:
        return f"{_INSTALL} for kal_diphone; `apt-cache search festvox` lists others"


class FestivalParams(GeneratorParams):
    """Parameters of `festival`.

    Attributes:
        voices: English voices without their `voice_`; one is drawn per item. ked_diphone is in
            Debian's festvox-kdlpc16k, cmu_us_slt_arctic_hts in festvox-us-slt-hts.
        stretch: [low, high] of the factor on all durations (0.5 to 2). HMM voices bring durations
            of their own and ignore it.
        timeout_s: seconds after which an utterance is given up.
    """

    voices: tuple[Annotated[str, AfterValidator(_symbol)], ...] = Field(
        ("kal_diphone",), min_length=1
    )
    stretch: Annotated[Range, within(0.5, 2.0)] = (0.95, 1.25)
    timeout_s: float = Field(60.0, gt=0)


@register_generator
class Festival(SpeechGenerator):
    """English, 16 kHz for diphone voices, through the `text2wave` program."""

    name: ClassVar[str] = "festival"
    version: ClassVar[str] = "1"
    kind: ClassVar[SpeechKind] = "tts"
    licence: ClassVar[str] = "MIT-Festival"
    summary: ClassVar[str] = "Festival, diphone and HMM voices of English"
    Params: ClassVar[type[GeneratorParams]] = FestivalParams
    params: FestivalParams

    def requirements(self) -> tuple[Requirement, ...]:
        programs = (Program("festival", _INSTALL), Program("text2wave", _INSTALL))
        return (*programs, *(FestivalVoice(voice) for voice in self.params.voices))

    def fingerprint(self) -> str:
        release = run_program(["festival", "--version"], _TIMEOUT_S).decode().strip()
        folders = voice_folders()
        named = (Path(folders[voice]) for voice in sorted(self.params.voices))
        files = [path for root in named for path in sorted(root.rglob("*")) if path.is_file()]
        return f"{self.version};{release};{weights_digest(*files)}"

    def generate(self, batch: Sequence[SpeechRequest]) -> list[Generated | Exception]:
        return each(batch, self._speak)

    def _speak(self, request: SpeechRequest) -> Generated:
        rng = np.random.default_rng(request.seed)
        voice = pick(rng, self.params.voices)
        stretch = round(uniform(rng, self.params.stretch), 3)

        def command(text: str, wav: str) -> list[str]:
            scheme = [f"(voice_{voice})", f"(Parameter.set 'Duration_Stretch {stretch})"]
            settings = [word for expression in scheme for word in ("-eval", expression)]
            return ["text2wave", *settings, "-o", wav, text]

        wave = speak_to_file(english_text(request, "festival"), command, self.params.timeout_s)
        return Generated(wave, {"voice": voice, "stretch": stretch})


@functools.cache
def voice_folders() -> dict[str, str]:
    """Voice → its folder, for all that Festival finds on its voice path.

    Raises:
        MissingRequirement: Festival is not installed.
    """
    said = run_program(["festival", "-b", "(print voice-locations)"], _TIMEOUT_S).decode()
    return dict(_LOCATION.findall(said))
