"""The demo's second half: frames, edits of them, the audit, and what is said of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.demo.timing import timed

if TYPE_CHECKING:
    from forensics.auditing.report import AuditReport
    from forensics.corpus.build import BuildResult
    from forensics.shards.format import Item
    from forensics.verdict.schema import Verdict

_CAMERAS, _FRAMES = 8, 4
_SIZE = (480, 272)
_JUDGED = 12


@dataclass
class ImageDemo:
    """What was made of frames. `pictures` are judged ones, pristine and forged in turn."""

    source_note: str
    build: BuildResult
    audit: AuditReport
    sheet: Path
    pictures: list[tuple[Item, Verdict]]


def run_images(
    out: Path, frames: Path | None, workers: int, seconds: dict[str, float]
) -> ImageDemo:
    """Build `out/image-corpus`, audit it, draw `contact-sheet.png`, judge some of its frames.

    Args:
        frames: folder of frames, a subfolder a camera; None renders streets.
    """
    from forensics.auditing.html import as_html
    from forensics.auditing.run import audit
    from forensics.corpus.build import build_dataset
    from forensics.demo.contact_sheet import contact_sheet
    from forensics.demo.street import write_streets
    from forensics.shards import storage
    from forensics.verdict.detect import detect
    from forensics.verdict.loading import DEFAULT_IMAGE_DETECTOR, load_detector
    from forensics.verdict.report import write_report

    note = str(frames)
    if frames is None:
        frames = write_streets(out / "streets", _CAMERAS, _FRAMES, _SIZE)
        note = "rendered streets, since none were given; with frames: make demo FRAMES=FOLDER"
    corpus = out / "image-corpus"
    with timed(seconds, "build of images"):
        build = build_dataset("demo-images", frames, corpus, workers=workers)
    with timed(seconds, "audit of images"):
        audited = audit(corpus)
        storage.publish(out / "image-audit.html", as_html(audited).encode())
    with timed(seconds, "detect images"):
        detector = load_detector(DEFAULT_IMAGE_DETECTOR)
        sheet = out / "contact-sheet.png"
        contact_sheet(corpus, sheet, detector, rows=5, split="train")  # pyright: ignore
        chosen = _choose(corpus)
        paths = [_save(out / "pictures", item) for item in chosen]
        verdicts = detect([str(path) for path in paths], detector)
        write_report(verdicts, out / "image-verdicts.html", sources=paths)
    return ImageDemo(note, build, audited, sheet, list(zip(chosen, verdicts, strict=True)))


def _choose(corpus: Path) -> list[Item]:
    """As many pristine frames as forged ones, of every editor."""
    from forensics.shards.reader import read_shard

    items = [item for tar in sorted((corpus / "shards").glob("*.tar")) for item in read_shard(tar)]
    items.sort(key=lambda item: (item.meta.split != "test", item.key))
    pristine = [item for item in items if item.meta.label == "bonafide"][: _JUDGED // 2]
    forged: list[Item] = []
    by_system = {
        name: [item for item in items if item.meta.system == name]
        for name in sorted({item.meta.system for item in items if item.meta.label == "spoof"})
    }
    while len(forged) < _JUDGED // 2 and any(by_system.values()):
        forged += [left.pop(0) for left in by_system.values() if left]
    return pristine + forged[: _JUDGED // 2]


def _save(folder: Path, item: Item) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{item.meta.system}-{item.key}.{item.extension}"
    path.write_bytes(item.media)
    return path
