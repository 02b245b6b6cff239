"""Reads a source: a folder of recordings, a CSV, or shards → a sorted list of utterances."""

from __future__ import annotations

import os
from pathlib import Path

from forensics.corpus.utterance import Source, Utterance, measure, utterance_id
from forensics.errors import UsageError
from forensics.media.audio import EXTENSIONS


def load_source(path: str | os.PathLike[str], where: dict[str, str] | None = None) -> Source:
    """Read a folder, a `.csv`, a `.tar` or a folder of `.tar` shards.

    Every recording is opened and hashed, so that the plan covers the content of the source.

    Args:
        where: for a CSV, keep rows whose column has this value (compared without case).

    Raises:
        UsageError: nothing there, missing columns, no recordings, one recording listed twice.
        CorpusError: a shard that is damaged or hostile.
    """
    root = Path(path).expanduser()
    if not root.exists():
        raise UsageError(f"the source {root} does not exist", "check --source")
    source = _read(root, where or {})
    if not source.utterances:
        said = f" ({'; '.join(source.notes)})" if source.notes else ""
        raise UsageError(
            f"the source {root} holds no recordings{said}",
            f"it needs {', '.join(sorted(EXTENSIONS))} files or rows",
        )
    source.utterances.sort(key=lambda utterance: utterance.id)
    for one, next_one in zip(source.utterances, source.utterances[1:], strict=False):
        if one.id == next_one.id:
            what = one.path or repr(one.text)
            raise UsageError(f"the source {root} lists {what} twice", "list it once")
    return source


def _read(root: Path, where: dict[str, str]) -> Source:
    if root.is_file() and root.suffix.lower() == ".csv":
        from forensics.corpus.csv_source import from_csv

        return from_csv(root, where)
    if where:
        raise UsageError("--where filters the rows of a CSV", "name a CSV with --source")
    tars = [root] if root.is_file() and root.suffix == ".tar" else sorted(root.rglob("*.tar"))
    files = sorted(p for p in root.rglob("*") if p.suffix.lower() in EXTENSIONS and p.is_file())
    if tars and files:
        raise UsageError(
            f"the source {root} holds shards ({tars[0].name}, …) and recordings "
            f"({files[0].name}, …)",
            "name a folder that holds one or the other",
        )
    if tars:
        from forensics.corpus.shard_source import from_shards

        return from_shards(root, tars)
    if root.is_dir():
        return _from_folder(root.resolve(), [root.resolve() / p.relative_to(root) for p in files])
    raise UsageError(
        f"the source {root} is neither a folder, a CSV nor shards", "name one of these"
    )


def _from_folder(root: Path, files: list[Path]) -> Source:
    notes = []
    if files and all(path.parent == root for path in files):
        notes.append(
            "the folder has no subfolders, so every file counts as its own speaker; if speakers "
            "have several files, use one subfolder each or a CSV with a 'speaker' column"
        )
    return Source(root=root, utterances=[_utterance(root, p) for p in files], notes=notes)


def _utterance(root: Path, path: Path) -> Utterance:
    relative = path.relative_to(root)
    return Utterance(
        id=utterance_id(utf8(str(relative))),
        path=str(relative),
        group=relative.parts[0] if len(relative.parts) > 1 else relative.stem,
        domain=root.name or "root",
        text=_transcript(path.with_suffix(".txt")),
        **measure(path),
    )


def _transcript(path: Path) -> str | None:
    if not path.is_file():
        return None
    try:
        return path.read_text(encoding="utf-8-sig").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(
            f"the transcript {path} cannot be read ({error})", "save it as UTF-8"
        ) from error


def utf8(name: str) -> str:
    """The name, if it can be written into a plan.

    Raises:
        UsageError: it holds bytes that are not UTF-8.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        shown = name.encode(errors="surrogateescape").decode(errors="replace")
        raise UsageError(f"the file name {shown!r} is not UTF-8", "rename the file") from error
    return name
