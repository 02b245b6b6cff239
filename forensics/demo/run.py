"""Runs the whole chain on a small scale, through the same functions that the commands call."""

from __future__ import annotations

import csv
import random
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.demo.images import ImageDemo, run_images
from forensics.demo.people import PeopleDemo, run_people
from forensics.demo.timing import timed
from forensics.errors import UsageError

if TYPE_CHECKING:
    from forensics.auditing.report import AuditReport
    from forensics.corpus.build import BuildResult
    from forensics.corpus.index import CorpusInfo
    from forensics.shards.format import Item
    from forensics.verdict.schema import Verdict

MAX_RECORDINGS = 24
_TEXTS = 16
_CLIPS_PER_SYSTEM = 3


@dataclass
class DemoResult:
    """What was made, for the page and the terminal. `family` shows one utterance, all copies."""

    folder: Path
    source_note: str
    build: BuildResult
    info: CorpusInfo
    audit: AuditReport
    family: list[Item]
    clips: list[tuple[Item, Verdict]]
    seconds: dict[str, float]
    images: ImageDemo
    people: PeopleDemo


def run_demo(
    out: Path, speech: Path | None, workers: int = 2, frames: Path | None = None
) -> DemoResult:
    """Build, audit, detect, and leave `index.html`, `audit.html`, `verdicts.html` and the corpora.

    Args:
        out: folder to work in; an earlier demo of the same source is resumed.
        speech: folder or CSV of recordings; None reads the shipped sentences with TTS only.
        workers: build processes.
        frames: folder of frames, a subfolder a camera; None renders some.

    Raises:
        UsageError: nothing usable in `speech` or `frames`, or `out` holds something else.
    """
    from forensics.auditing.html import as_html
    from forensics.auditing.run import audit
    from forensics.corpus.build import build_dataset
    from forensics.corpus.index import inspect_corpus
    from forensics.demo.page import write_page
    from forensics.shards import storage
    from forensics.verdict.detect import detect
    from forensics.verdict.report import write_report

    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is not a folder", "name another --out")
    out.mkdir(parents=True, exist_ok=True)
    source, note = _choose_speech(out, speech) if speech else _choose_texts(out)
    corpus = out / "corpus"
    seconds: dict[str, float] = {}
    with timed(seconds, "build"):
        build = build_dataset("demo", source, corpus, workers=workers)
    with timed(seconds, "audit"):
        audited = audit(corpus)
        storage.publish(out / "audit.html", as_html(audited).encode())
    family, chosen = _choose_clips(corpus)
    with timed(seconds, "detect"):
        paths = [_save_clip(out / "clips", item) for item in chosen]
        verdicts = detect([str(path) for path in paths])
        write_report(verdicts, out / "verdicts.html")
    result = DemoResult(
        folder=out,
        source_note=note,
        build=build,
        info=inspect_corpus(str(corpus)),
        audit=audited,
        family=family,
        clips=list(zip(chosen, verdicts, strict=True)),
        seconds=seconds,
        images=run_images(out, frames, workers, seconds),
        people=run_people(out, workers, seconds),
    )
    write_page(result)
    return result


def _choose_speech(out: Path, speech: Path) -> tuple[Path, str]:
    """At most `MAX_RECORDINGS` usable recordings, spread over speakers, as a CSV."""
    from forensics.corpus.speech.source import load_source

    source = load_source(speech)
    usable = [u for u in source.items if not u.broken and not u.text_only]
    usable = [u for u in usable if u.span is None and u.duration_s >= 1.5]
    if not usable:
        raise UsageError(
            f"{speech} holds no recordings of 1.5 s or more", "name a folder or CSV that does"
        )
    random.Random(0).shuffle(usable)
    by_speaker: dict[str, list[str]] = {}
    for utterance in usable:
        by_speaker.setdefault(utterance.group, []).append(utterance.id)
    rank = {uid: turn for ids in by_speaker.values() for turn, uid in enumerate(ids)}
    chosen = sorted(usable, key=lambda u: rank[u.id])[:MAX_RECORDINGS]
    path = out / "speech.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(["path", "speaker", "domain", "text", "language", "licence"])
        for u in chosen:
            place = source.root.absolute() / u.path
            rows.writerow([place, u.group, u.domain, u.text, u.language, u.licence])
    speakers = len({u.group for u in chosen})
    return path, f"{len(chosen)} of {len(usable)} recordings of {speech}, {speakers} speakers"


def _choose_texts(out: Path) -> tuple[Path, str]:
    """Without recordings there is no bona fide speech, and none is pretended."""
    from forensics.corpus.recipe import load_recipe
    from forensics.corpus.speech.recipe import SpeechRecipe, read_sentences

    recipe, folder = load_recipe("demo")
    assert isinstance(recipe, SpeechRecipe)
    sentences = read_sentences(folder / recipe.sentences)
    path = out / "texts.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        rows = csv.writer(handle)
        rows.writerow(["text", "speaker"])
        rows.writerows([sentence, f"text-{i}"] for i, sentence in enumerate(sentences[:_TEXTS]))
    return path, (
        "no recordings were given, so this corpus is text to speech only: nothing in it is bona "
        "fide, vocoders had nothing to copy, and the audit has nothing to compare. "
        "For the whole chain: make demo SPEECH=/path/to/recordings"
    )


def _choose_clips(corpus: Path) -> tuple[list[Item], list[Item]]:
    """The longest test utterance in all its copies, and a few clips of every system."""
    from forensics.shards.reader import read_shard

    items = [item for tar in sorted((corpus / "shards").glob("*.tar")) for item in read_shard(tar)]
    items.sort(key=lambda item: (item.meta.split != "test", -(item.meta.duration_s or 0), item.key))
    if not items:
        raise UsageError(f"{corpus} holds no items: every one failed", "see forensics inspect")
    first = items[0].meta.source_id
    family = [item for item in items if item.meta.source_id == first]
    family.sort(key=lambda item: (item.meta.label, item.meta.system))
    chosen: list[Item] = []
    for system in sorted({item.meta.system for item in items}):
        chosen += [item for item in items if item.meta.system == system][:_CLIPS_PER_SYSTEM]
    return family, chosen


def _save_clip(folder: Path, item: Item) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{item.meta.system}-{item.key}.{item.extension}"
    path.write_bytes(item.media)
    return path
