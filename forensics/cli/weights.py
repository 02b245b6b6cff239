"""`forensics import-weights` and `export-onnx`: weights folders from and to other formats."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from forensics.cli.console import print_json


def import_weights(
    family: Annotated[
        str, typer.Argument(help="aasist, hiercon, sls, meso4, fsfm, taef2 or hifigan.")
    ],
    checkpoint: Annotated[
        Path,
        typer.Argument(
            help="Published state dict (.pth), of meso4 .h5; of taef2 its folder; of hifigan with "
            "its config.json beside it."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="New weights folder.")],
    heads: Annotated[
        int | None,
        typer.Option(min=1, help="Attention heads of a backbone that is of no published size."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Convert a published checkpoint to a weights folder (safetensors, pinned by SHA-256).

    The only command that opens a pickle or HDF5, in a process of its own.
    """
    if family == "taef2":
        _import_taef2(checkpoint, out, json)
        return
    if family == "hifigan":
        _import_hifigan(checkpoint, out, json)
        return
    if family == "fsfm":
        _import_fsfm(checkpoint, out, heads, json)
        return
    if family == "meso4":
        from forensics.detectors.importing_meso4 import import_meso4

        done = import_meso4(checkpoint, out)
    else:
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


def _import_taef2(source: Path, out: Path, json: bool) -> None:
    from forensics.detectors.importing_taef2 import import_taef2

    done = import_taef2(source, out)
    if json:
        about = {"keys_matched": done.keys, "origin": done.origin, "licence": done.licence}
        print_json({"autoencoder": "taef2", "folder": str(out), **about})
        return
    print(f"taef2: {done.keys} keys matched; {done.origin}; licence {done.licence}")
    print(f"use: weights: {shlex.quote(str(out))} in the editors latent and regenerate")


def _import_hifigan(source: Path, out: Path, json: bool) -> None:
    from forensics.detectors.importing_hifigan import import_hifigan

    done = import_hifigan(source, out)
    if json:
        about = {"origin": done.origin, "licence": done.licence}
        counts = {"keys_matched": done.keys, "sampling_rate": done.sampling_rate}
        print_json({"vocoder": "hifigan", "folder": str(out), **counts, **about})
        return
    print(f"hifigan: {done.keys} tensors, {done.sampling_rate} Hz; {done.origin}")
    print(f"licence {done.licence}")
    print(f"use: forensics build-dataset … --set hifigan.model={shlex.quote(str(out))}")


def _import_fsfm(source: Path, out: Path, heads: int | None, json: bool) -> None:
    from forensics.detectors.importing_fsfm import import_fsfm

    done = import_fsfm(source, out, heads)
    if json:
        about = {"trained_on": done.trained_on, "licence": done.licence}
        counts = {"keys_matched": done.keys, "keys_left_out": list(done.left_out)}
        print_json({"encoder": "face-encoder", "folder": str(out), **counts, **about})
        return
    print(f"face-encoder: {done.keys} keys matched")
    if done.left_out:
        print(f"not needed, left out: {', '.join(done.left_out)}")
    print(f"trained on {done.trained_on}; licence {done.licence}")
    print(
        "use: forensics train face-classifier --set architecture.backbone=encoder "
        f"--set architecture.encoder_weights={shlex.quote(str(out))} …"
    )


def export_onnx(
    folder: Annotated[Path, typer.Argument(help="Weights folder; the graph is written into it.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Write a detector as an ONNX graph, which detection on a CPU then runs without torch."""
    from forensics.detectors.onnx_export import export_onnx as export

    done = export(folder)
    config = done.bundle.config
    if json:
        print_json(
            {
                "detector": config.detector,
                "folder": str(folder),
                "onnx_sha256": config.onnx_sha256,
                "outputs": list(done.outputs),
                "size_bytes": done.size_bytes,
                "windows_compared": done.windows,
                "max_difference": done.max_difference,
            }
        )
        return
    print(f"{config.detector}: {folder / 'model.onnx'}, {done.size_bytes / 1e6:.2f} MB")
    print(f"gives {', '.join(done.outputs)}")
    print(f"differs from torch by at most {done.max_difference:.2g} on {done.windows} windows")
