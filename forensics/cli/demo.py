"""`forensics demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(help="Folder to leave everything in.")] = Path("demo-out"),
    speech: Annotated[
        Path | None, typer.Option(help="Your recordings: a folder or a CSV. Without: TTS only.")
    ] = None,
    frames: Annotated[
        Path | None,
        typer.Option(help="Your frames, a subfolder a camera. Without: rendered streets."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Build processes.")] = 2,
) -> None:
    """Build small corpora of speech and frames, audit and judge them, leave a page of it all."""
    from collections import Counter

    from forensics.demo.run import run_demo

    result = run_demo(out, speech, workers, frames)
    print(f"speech: {result.source_note}")
    print(f"corpus: {result.build.items} items, {result.build.failed} failed, in {out / 'corpus'}")
    print(f"audit:  {result.audit.status}")
    for system in sorted({item.meta.system for item, _ in result.clips}):
        labels = Counter(v.label for item, v in result.clips if item.meta.system == system)
        print(f"detect: {system:12} " + ", ".join(f"{n} {label}" for label, n in labels.items()))
    pictures = result.images
    print(f"frames: {pictures.source_note}")
    print(f"images: {pictures.build.items} items, {pictures.build.failed} not made")
    print(f"audit:  {pictures.audit.status}")
    for truth in ("bonafide", "spoof"):
        labels = Counter(v.label for item, v in pictures.pictures if item.meta.label == truth)
        print(f"detect: {truth:12} " + ", ".join(f"{n} {label}" for label, n in labels.items()))
    print(f"people: {result.people.build.items} items, {result.people.build.failed} not made")
    print(f"look:   {out / 'index.html'}")
