"""`forensics contact-sheet`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer


def contact_sheet(
    corpus: Annotated[str, typer.Argument(help="A corpus of images: folder or URL.")],
    out: Annotated[Path, typer.Option(help="Picture to write: .png, .jpg, .pdf, .svg.")] = Path(
        "contact-sheet.png"
    ),
    detector: Annotated[
        str | None,
        typer.Option(help="An image detector or a weights folder: shows where it looks."),
    ] = None,
    rows: Annotated[int, typer.Option(min=1, help="Forged frames at most.")] = 8,
    split: Annotated[
        Literal["train", "dev", "test"], typer.Option(help="Of which split.")
    ] = "test",
) -> None:
    """Show forged frames beside pristine ones, with masks and what a detector finds."""
    from forensics.demo.contact_sheet import contact_sheet as draw
    from forensics.detectors.image.base import ImageDetector
    from forensics.errors import UsageError
    from forensics.verdict.loading import load_detector
    from forensics.verdict.report import check_writable

    check_writable(str(out))
    judge = load_detector(detector) if detector else None
    if judge is not None and not isinstance(judge, ImageDetector):
        raise UsageError(f"{detector} judges {judge.modality}", "name an image detector")
    count = draw(corpus, out, judge, rows=rows, split=split)
    print(f"{count} frames: {out}")
