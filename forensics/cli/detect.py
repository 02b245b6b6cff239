"""`forensics detect`: are these files genuine or manipulated?"""

from __future__ import annotations

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Annotated

import typer

from forensics.cli.console import encodable, print_json, visible

if TYPE_CHECKING:
    from forensics.identity.asking import Asking
    from forensics.progress import Progress
    from forensics.verdict.image_judge import Seen, Show
    from forensics.verdict.schema import FrameResult, Region, Verdict

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
        str | None,
        typer.Option(
            help="A detector's name, or a weights folder.",
            show_default="speech-default or image-default, as the input is",
        ),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Weights for the detector.")
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write an HTML report.")
    ] = None,
    heatmap: Annotated[
        str | None,
        typer.Option(
            metavar="PNG",
            help="Also write the raw map of a picture, 255 = manipulated; of several a folder.",
        ),
    ] = None,
    overlay: Annotated[
        str | None,
        typer.Option(metavar="PNG", help="Also write the picture with heat and regions; likewise."),
    ] = None,
    identity: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Is it this enrolled person, really? Repeatable: the likeliest."
        ),
    ] = None,
    store: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Where enrolled people lie.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Where the model of people's tokens lies, if it moved or they were imported.",
        ),
    ] = None,
    faces: Annotated[
        str | None,
        typer.Option(metavar="YAML", help="What finds and compares faces, as at enrolment."),
    ] = None,
    sequence: Annotated[
        bool,
        typer.Option("--sequence", help="Each folder or glob holds frames and gets one verdict."),
    ] = False,
    frames: Annotated[
        int, typer.Option(min=1, help="Judge that many frames of a video or sequence.")
    ] = 16,
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
    """Tell forged media from real: speech, pictures, videos.

    Exit code 3 when some files could not be judged.
    """
    # Threads that spin while they wait made scoring ten times slower on a busy machine. Read when
    # torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from forensics.media.inputs import expand_inputs
    from forensics.verdict.detect import detect_iter
    from forensics.verdict.report import check_writable, write_report
    from forensics.verdict.sources import frame_set
    from forensics.verdict.speech import SpeechConfig

    if report:
        check_writable(report)  # before hours of work
    items = [frame_set(one) for one in inputs] if sequence else list(expand_inputs(inputs))
    names = [item.name for item in items]
    thumbnails: dict[int, str] = {}
    verdicts: list[Verdict] = []
    skipped = 0
    width = min(_MAX_PATH_WIDTH, max(len(visible(name)) for name in names))
    found = detect_iter(
        items,
        detector,
        weights=weights,
        config=SpeechConfig(hop_s=hop, max_windows=max_windows),
        frames=frames,
        device=device,
        threads=threads,
        show=_shower(names, heatmap, overlay, thumbnails if report else None),
        identity=identity,
        asking=_asking(identity, store, model, faces),
    )
    with _progress(len(items)) as progress:
        for verdict in found:
            print_json(verdict.model_dump(mode="json")) if json else _print(verdict, width)
            sys.stdout.flush()
            skipped += verdict.label == "not_applicable"
            if report:
                verdicts.append(verdict)
            if progress is not None:
                progress.advance()
    if report:
        sources = [getattr(item, "source", None) for item in items]
        write_report(verdicts, report, sources, thumbnails)
        print(f"report: {report}", file=sys.stderr)
    if skipped:
        raise typer.Exit(3)


def _asking(
    identity: list[str] | None, store: str | None, model: str | None, faces: str | None
) -> Asking | None:
    if identity is None:
        if store or model or faces:
            from forensics.errors import UsageError

            what = "--store, --model and --faces are about enrolled people"
            raise UsageError(what, "name one with --identity")
        return None
    from forensics.cli.identity import face_config
    from forensics.identity.asking import Asking

    return Asking(store, face_config(faces), model)


def _shower(
    names: list[str], heatmap: str | None, overlay: str | None, thumbnails: dict[int, str] | None
) -> Show | None:
    """What is done with each judged picture; the files' places are checked here."""
    if heatmap is None and overlay is None and thumbnails is None:
        return None
    from forensics.verdict.picture_files import PictureFiles
    from forensics.verdict.report import MAX_PICTURES

    maps = PictureFiles(heatmap, names) if heatmap else None
    pictures = PictureFiles(overlay, names) if overlay else None

    def show(verdict: Verdict, seen: Seen) -> None:
        from forensics.verdict.overlay import heat_png, overlay_png, thumbnail

        if maps and seen.heatmap is not None:
            maps.write(seen.index, heat_png(seen.heatmap))
        elif maps:
            print(f"{visible(verdict.path)}: no heatmap: {verdict.reason}", file=sys.stderr)
        if pictures:
            pictures.write(seen.index, overlay_png(verdict, seen))
        if thumbnails is not None and len(thumbnails) < MAX_PICTURES:
            thumbnails[seen.index] = thumbnail(verdict, seen)

    return show


def _progress(count: int) -> AbstractContextManager[Progress | None]:
    """A bar, where lines of results do not already show the progress on the same screen."""
    if count < 2 or not sys.stderr.isatty() or sys.stdout.isatty():
        return nullcontext()
    from forensics.progress import Progress

    return Progress(count, "judging", "files")


def _print(verdict: Verdict, width: int) -> None:
    print(_line(verdict, width))
    for frame in verdict.frames:
        print(encodable(f"    {_frame(frame)}"))


def _line(verdict: Verdict, width: int) -> str:
    p = _p(verdict.p_manipulated)
    message = verdict.message
    if verdict.reason == "uncalibrated":
        message += f" (raw {verdict.detectors[0].raw:+.3f}, higher = bona fide)"
    message += _places(verdict.regions)
    if verdict.explanation is not None:
        message += f"; {verdict.explanation.model} writes: {verdict.explanation.text}"
    label = f"{verdict.label:14}"
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ:
        label = f"\x1b[{_COLOURS[verdict.label]}m{label}\x1b[0m"
    path, message = visible(verdict.path), visible(message)
    return encodable(f"{label}  {p}  {path:{width}}  {verdict.reason}: {message}")


def _frame(frame: FrameResult) -> str:
    where = visible(frame.name or "") if frame.time_s is None else f"{frame.time_s:8.2f} s"
    if frame.not_applicable is not None:
        return f"{_p(None)}  {where}  not judged: {visible(frame.not_applicable)}"
    raw = "" if frame.p_manipulated is not None else f"  raw {frame.raw:+.3f}"
    return f"{_p(frame.p_manipulated)}  {where}{raw}{_places(frame.regions)}"


def _places(regions: tuple[Region, ...]) -> str:
    """How many regions are marked, and where the largest is."""
    if not regions:
        return ""
    left, top, right, bottom = regions[0].box
    count = "1 region" if len(regions) == 1 else f"{len(regions)} regions, the largest"
    return f"; {count} at x {left}-{right}, y {top}-{bottom}"


def _p(p: float | None) -> str:
    return "p   -  " if p is None else f"p {p:.3f}"
