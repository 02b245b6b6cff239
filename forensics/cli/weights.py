"""`forensics import-weights`: the only command that opens a pickle, in a process of its own."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from forensics.cli.console import print_json


def import_weights(
    family: Annotated[str, typer.Argument(help="Detector family: aasist, hiercon, sls.")],
    checkpoint: Annotated[Path, typer.Argument(help="Published state dict (.pth, .pt).")],
    out: Annotated[Path, typer.Option("--out", "-o", help="New weights folder.")],
    heads: Annotated[
        int | None,
        typer.Option(min=1, help="Attention heads of a backbone that is of no published size."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Convert a published checkpoint to a weights folder (safetensors, pinned by SHA-256)."""
    from forensics.detectors.importing import import_checkpoint

    done = import_checkpoint(family, checkpoint, out, heads)
    config = done.bundle.config
    if json:
        print_json(
            {
                "detector": config.detector,
                "folder": str(out),
                "keys_matched": done.keys,
                "keys_left_out": list(done.left_out),
                "weights_sha256": config.weights_sha256,
                "trained_on": config.trained_on,
                "licence": config.licence,
                "calibrated": config.calibration is not None,
            }
        )
        return
    print(f"{config.detector}: {done.keys} of {done.keys + len(done.left_out)} keys matched")
    if done.left_out:
        print(f"not needed to detect, left out: {', '.join(done.left_out)}")
    print(f"trained on {config.trained_on}; licence {config.licence}")
    print("not calibrated: a verdict with these weights is `uncertain`")
    print(
        f"use: forensics detect --detector {config.detector} --weights {shlex.quote(str(out))} FILE"
    )
