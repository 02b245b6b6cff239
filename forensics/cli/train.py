"""`forensics train`."""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from forensics.cli.console import flush_stdout, print_error, print_json


def train(
    config: Annotated[str, typer.Argument(help="A shipped config or the path of a YAML file.")],
    out: Annotated[Path, typer.Option(help="Folder for the run; goes on with what is there.")],
    shards: Annotated[
        str | None, typer.Option(metavar="CORPUS", help="Corpus that a detector is trained on.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Recordings for a vocoder, frames for an inpainter: a folder, a CSV."),
    ] = None,
    where: Annotated[
        list[str] | None, typer.Option(help="Keep CSV rows with COLUMN=VALUE (repeatable).")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE over the config's, e.g. fit.steps=500."),
    ] = None,
    seeds: Annotated[
        str | None, typer.Option(help="Comma-separated seeds, over the config's.")
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu or cuda; by default CUDA where there is some.")
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Fits at a time, one thread each.")] = 1,
    loaders: Annotated[
        int | None, typer.Option(min=0, help="Processes that decode and augment, for each fit.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Train on a corpus, on recordings or on frames. Goes on where it stopped."""
    # Threads that spin while they wait slow down a busy machine. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from forensics.cli.corpus import where_filters
    from forensics.training.run import run

    result = run(
        config,
        out,
        shards=shards,
        source=source,
        where=where_filters(where),
        changes=settings or [],
        seeds=_numbers(seeds),
        device=device,
        workers=workers,
        loaders=loaders,
        command=_command(),
    )
    if int(os.environ.get("RANK", "0")) == 0:
        print_json(result.model_dump(mode="json")) if json else print(result)


def _command() -> str:
    """How this was called."""
    processes = os.environ.get("WORLD_SIZE")
    started = f"torchrun --nproc-per-node {processes} -m forensics.training" if processes else None
    return f"{started or 'forensics'} {shlex.join(sys.argv[1:])}"


def _numbers(text: str | None) -> list[int]:
    from forensics.errors import UsageError

    try:
        return [int(number) for number in text.split(",")] if text else []
    except ValueError as error:
        raise UsageError(f"--seeds {text!r} are no numbers", "write for example 1,2,3") from error


def main() -> None:
    """The command alone, for processes that torchrun starts."""
    from forensics.errors import ForensicsError

    try:
        try:
            typer.run(train)
        finally:
            flush_stdout()
    except ForensicsError as error:
        print_error(error)
        sys.exit(error.exit_code)
