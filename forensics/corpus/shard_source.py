"""Reads bona fide utterances out of WebDataset shards: ours, or any other tool's.

The plan notes where each recording lies inside its tar, so that a worker reads just that span.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forensics.corpus.utterance import (
    Source,
    Utterance,
    checked_split,
    is_bonafide,
    measure,
    utterance_id,
)
from forensics.errors import UsageError
from forensics.media.audio import EXTENSIONS
from forensics.shards.format import parse_json
from forensics.shards.reader import ForeignMember, read_foreign_shard


def from_shards(root: Path, tars: list[Path]) -> Source:
    """Every bona fide recording of the tars.

    JSON members may give label, group (or speaker), domain, text, language, licence and split;
    `.txt` members the transcript. Samples that are labelled as spoofs are left out.

    Raises:
        CorpusError: a tar that is damaged or hostile; shard and member are named.
        UsageError: labels or splits that are not known, classes without a label.
    """
    base = root.parent if root.is_file() else root
    utterances, spoofs, speakers = [], 0, 0
    for path in tars:
        for key, members in read_foreign_shard(path):
            audio = next((m for ext, m in members.items() if f".{ext}" in EXTENSIONS), None)
            if audio is None:
                continue
            fields = _fields(members)
            where = f"{path}: sample {key!r}"
            if "cls" in members and "label" not in fields:
                raise UsageError(
                    f"{where}: a class number does not say what is bona fide",
                    "give each sample a json with a label, or leave the cls members out",
                )
            if is_bonafide(fields.get("label"), where):
                speakers += _speaker(fields) is not None
                utterances.append(_utterance(base, path, key, audio, fields))
            else:
                spoofs += 1
    notes = [f"{spoofs} samples are spoofs and were left out"] if spoofs else []
    if not speakers:
        notes.append("no sample states a speaker: every one counts as its own")
    return Source(root=base.resolve(), utterances=utterances, notes=notes)


def _fields(members: dict[str, ForeignMember]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if "txt" in members:
        fields["text"] = members["txt"].data.decode().strip()
    if "json" in members:
        stated = parse_json(members["json"].data)
        fields |= stated if isinstance(stated, dict) else {}
    return {name: value for name, value in fields.items() if value is not None and value != ""}


def _speaker(fields: dict[str, Any]) -> str | None:
    found = fields.get("group", fields.get("speaker"))
    return None if found is None else str(found).strip()


def _utterance(
    base: Path, path: Path, key: str, audio: ForeignMember, fields: dict[str, Any]
) -> Utterance:
    place = str(path.relative_to(base))
    licence = fields.get("licence", fields.get("license"))
    return Utterance(
        id=str(fields.get("source_id") or utterance_id(place, key)),
        path=place,
        span=(audio.offset, len(audio.data)),
        group=_speaker(fields) or f"{place}/{key}",
        domain=str(fields.get("domain") or path.stem),
        text=_text(fields, "text"),
        language=_text(fields, "language"),
        licence=None if licence is None else str(licence),
        split=checked_split(fields.get("split"), f"{path}: sample {key!r}"),
        **measure(audio.data),
    )


def _text(fields: dict[str, Any], name: str) -> str | None:
    return str(fields[name]) if name in fields else None
