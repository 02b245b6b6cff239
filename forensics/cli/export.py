"""`forensics export`: a corpus of images in the formats that other tools read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from forensics.cli.console import print_json


def export(
    corpus: Annotated[str, typer.Argument(help="Corpus folder or bucket URL.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="A new or empty folder.")],
    format_: Annotated[
        Literal["imdl-benco", "tp-gt", "folders"],
        typer.Option(
            "--format",
            help="imdl-benco: a JSON list; tp-gt: Tp/ and Gt/; folders: images/, masks/ and "
            "metadata.jsonl.",
        ),
    ] = "folders",
    split: Annotated[
        Literal["train", "dev", "test"] | None, typer.Option(help="This split alone.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Write the images and masks of a corpus as other tools read them, a folder a split."""
    from forensics.corpus.exchange.export import export_corpus

    done = export_corpus(corpus, format_, out, split)
    if json:
        print_json(
            {
                "out": str(out),
                "format": format_,
                "written": done.written,
                "left_out_without_mask": done.left_out,
            }
        )
        return
    for name, count in sorted(done.written.items()):
        print(f"{out / name}: {count} images")
    if done.left_out:
        print(f"{done.left_out} forged images have no mask and were left out")
