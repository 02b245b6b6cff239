"""Which voices an eSpeak NG data folder holds, by language and by variant."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from forensics.errors import UsageError
from forensics.generators.speech.common import primary_language

_DEFAULT_PRIORITY = 5  # eSpeak's own, for a language line that gives none


@dataclass(frozen=True)
class VoiceTable:
    """eSpeak's voices.

    Attributes:
        files: language tag in lower case → voice file, e.g. "en-us" → "gmw/en-US".
        languages: voice file → the primary languages that it lists, e.g. {"cmn", "zh"}.
        variants: speakers that can be laid over any voice with "+", e.g. "f3".
    """

    files: dict[str, str]
    languages: dict[str, frozenset[str]]
    variants: frozenset[str]

    @classmethod
    def read(cls, data: Path) -> VoiceTable:
        """Read `espeak-ng-data`."""
        best: dict[str, tuple[int, str]] = {}
        languages = {}
        for path in sorted(p for p in (data / "lang").rglob("*") if p.is_file()):
            file = path.relative_to(data / "lang").as_posix()
            listed = _language_lines(path)
            languages[file] = frozenset(primary_language(tag) for tag in listed)
            for tag, priority in listed.items():
                best[tag] = min(best.get(tag, (priority, file)), (priority, file))
        variants = frozenset(p.name for p in (data / "voices" / "!v").iterdir() if p.is_file())
        return cls({tag: file for tag, (_, file) in best.items()}, languages, variants)

    def file(self, voice: str) -> str:
        """What the engine is asked for: "en-us+f3" → "gmw/en-US+f3".

        Raises:
            UsageError: there is no such voice or no such variant. (The engine itself would keep
                the last voice, or leave an unknown variant out, without a word.)
        """
        base, plus, variant = voice.partition("+")
        file = base if base in self.languages else self.files.get(base.lower())
        if file is None:
            known = ", ".join(sorted(t for t in self.files if t[:2] == base[:2].lower()))
            hint = f"near it are {known}" if known else f"there are {len(self.files)}, e.g. en-us"
            raise UsageError(f"eSpeak has no voice {voice!r}", hint)
        if plus and variant not in self.variants:
            raise UsageError(
                f"eSpeak has no variant {variant!r} (voice {voice!r})",
                f"there are: {', '.join(sorted(self.variants))}",
            )
        return f"{file}{plus}{variant}"

    def speaking(self, language: str, voices: tuple[str, ...]) -> list[str]:
        """Those of `voices` that speak a language; else its own voice with their variants.

        Args:
            language: BCP-47 tag of the text; an unknown region or script falls back to the
                language.

        Raises:
            UsageError: eSpeak does not speak it.
        """
        tag = language.replace("_", "-").lower()
        while tag not in self.files and "-" in tag:
            tag = tag.rpartition("-")[0]
        if tag not in self.files:
            raise UsageError(
                f"eSpeak does not speak {language!r}", "leave this system out for that language"
            )
        spoken = {primary_language(tag)} | self.languages[self.files[tag]]
        fitting = [v for v in voices if self.languages[self.file(v).partition("+")[0]] & spoken]
        if fitting:
            return fitting
        return list(dict.fromkeys(tag + "".join(v.partition("+")[1:]) for v in voices))


def _language_lines(path: Path) -> dict[str, int]:
    listed = {}
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        words = line.split()
        if len(words) > 1 and words[0] == "language":
            priority = words[2] if len(words) > 2 else ""
            listed[words[1].lower()] = int(priority) if priority.isdigit() else _DEFAULT_PRIORITY
    return listed
