"""`forensics detect`: are these files genuine or manipulated?"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from forensics.cli.console import print_json

if TYPE_CHECKING:
    from forensics.media.inputs import InputItem
    from forensics.progress import Progress
    from forensics.verdict.schema import Verdict

_COLOURS = {"bonafide": "32", "manipulated": "31", "uncertain": "33", "not_applicable": "2"}
_MAX_PATH_WIDTH = 48


def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Files, folders, quoted globs, or - for one on stdin."
        ),
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
    detector: Annotated[
        str, typer.Option(help="A detector's name, or a weights folder.")
    ] = "speech-default",
    weights: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Weights for the detector.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write an HTML report.")
    ] = None,
    hop: Annotated[
        float | None,
        typer.Option(min=0.1, metavar="SECONDS", help="Between windows; default: no overlap."),
    ] = None,
    max_windows: Annotated[
        int | None,
        typer.Option(min=1, help="Score no more than that many windows of a file, evenly spread."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu or cuda.")] = "cpu",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; default: 1 with ONNX, all with torch.")
    ] = None,
) -> None:
    """Tell forged speech from real. Exit code 3 when some files could not be judged."""
    # Threads that spin while they wait made scoring ten times slower on a busy machine. Read when
    # torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from forensics.media.inputs import expand_inputs
    from forensics.verdict.detect import detect_iter
    from forensics.verdict.report import check_writable, write_report
    from forensics.verdict.speech import SpeechConfig

    if report:
        check_writable(report)  # before hours of work
    items = list(expand_inputs(inputs))
    verdicts: list[Verdict] = []
    skipped = 0
    width = min(_MAX_PATH_WIDTH, max(len(_visible(item.name)) for item in items))
    found = detect_iter(
        items,
        detector,
        weights=weights,
        config=SpeechConfig(hop_s=hop, max_windows=max_windows),
        device=device,
        threads=threads,
    )
    with _progress(items) as progress:
        for verdict in found:
            print_json(verdict.model_dump(mode="json")) if json else print(_line(verdict, width))
            sys.stdout.flush()
            skipped += verdict.label == "not_applicable"
            if report:
                verdicts.append(verdict)
            if progress is not None:
                progress.advance()
    if report:
        write_report(verdicts, report, sources=[item.source for item in items])
        print(f"report: {report}", file=sys.stderr)
    if skipped:
        raise typer.Exit(3)


def _progress(items: list[InputItem]) -> AbstractContextManager[Progress | None]:
    """A bar, where lines of results do not already show the progress on the same screen."""
    if len(items) < 2 or not sys.stderr.isatty() or sys.stdout.isatty():
        return nullcontext()
    from forensics.progress import Progress

    return Progress(len(items), "judging", "files")


def _line(verdict: Verdict, width: int) -> str:
    p = "p   -  " if verdict.p_manipulated is None else f"p {verdict.p_manipulated:.3f}"
    message = verdict.message
    if verdict.reason == "uncalibrated":
        message += f" (raw {verdict.detectors[0].raw:+.3f}, higher = bona fide)"
    label = f"{verdict.label:14}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        label = f"\x1b[{_COLOURS[verdict.label]}m{label}\x1b[0m"
    path, message = _visible(verdict.path), _visible(message)
    text = f"{label}  {p}  {path:{width}}  {verdict.reason}: {message}"
    return text.encode(sys.stdout.encoding or "utf-8", "backslashreplace").decode(
        sys.stdout.encoding or "utf-8"
    )


def _visible(text: str) -> str:
    """File names may hold line breaks and terminal commands."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
