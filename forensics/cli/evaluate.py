"""`forensics evaluate`: how well do detectors tell forged from real?"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forensics.cli.console import print_json

if TYPE_CHECKING:
    from forensics.evaluation.images.run import PictureEvaluation
    from forensics.evaluation.run import Evaluation


def evaluate(
    detector: Annotated[
        list[str] | None,
        typer.Option(help="A detector's name, or a weights folder (repeatable)."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(metavar="FOLDER", help="Weights for the one detector.")
    ] = None,
    shards: Annotated[str | None, typer.Option(help="A corpus: folder or URL.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="A protocol file, a CSV, or a folder of AUDETER; of pictures a JSON or CSV list, "
            "or a folder with Tp/ and Gt/ or with images/ and masks/."
        ),
    ] = None,
    audio: Annotated[
        str | None, typer.Option(metavar="DIR", help="What a protocol's paths are relative to.")
    ] = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="asvspoof2019, asvspoof2021, asvspoof5, asvspoof-key, in-the-wild, audeter or "
            "csv; by default it is told from the first line.",
        ),
    ] = None,
    source_column: Annotated[
        str | None, typer.Option(help="Column of the source: figures are also given within each.")
    ] = None,
    group_column: Annotated[
        str | None, typer.Option(help="Column of the group that intervals resample as a whole.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN=VALUE", help="Keep such rows of a protocol (repeatable)."),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Default: test of shards, all of a protocol. Or: all.")
    ] = None,
    conditions: Annotated[
        str | None,
        typer.Option(
            help="Also through these channels, e.g. opus,mp3,telephone,mulaw,noise20,noise10,"
            "reverb; of pictures jpeg50,jpeg70,jpeg90,rescale0.5,rescale1.5,screenshot,social."
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="Keep finished scores there: the same command goes on where it was.",
        ),
    ] = None,
    report: Annotated[
        str | None, typer.Option(metavar="FILE", help="Also write an HTML report with plots.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    scores: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="Also write an ASVspoof score file; with several detectors or conditions one "
            "each, named FILE.<detector>.<condition>.",
        ),
    ] = None,
    scores_from: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE", help="Measure a score file in place of a detector (repeatable)."
        ),
    ] = None,
    llr: Annotated[
        bool, typer.Option("--llr", help="Scores of --scores-from are calibrated LLRs.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Processes that score.")] = 1,
    device: Annotated[str, typer.Option(help="Where to compute: cpu or cuda.")] = "cpu",
    replicates: Annotated[int, typer.Option(min=20, help="Bootstrap resamples.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the resamples.")] = 0,
    identities: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER",
            help="People enrolled with `forensics identity`, asked about the pictures of a corpus "
            "of faces that claim to be them.",
        ),
    ] = None,
) -> None:
    """Measure detectors on labelled clips or pictures. Exit code 3: some were not judged."""
    # As `forensics detect`: threads that spin while they wait slow a busy machine. Read when torch
    # is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from forensics.errors import UsageError
    from forensics.evaluation.run import evaluate as run
    from forensics.evaluation.shown import as_html, as_text
    from forensics.verdict.report import check_writable

    for path in (report, scores):
        if path:
            check_writable(path)  # before hours of work
    if scores_from and (detector or weights or out):
        raise UsageError("score files are measured without a detector", "leave --detector out")
    if llr and not scores_from:
        raise UsageError("--llr is about score files", "add --scores-from, or leave it out")
    found = run(
        detector or [],
        weights=weights,
        shards=shards,
        protocol=protocol,
        audio=audio,
        layout=_checked_format(format_),
        columns=_columns(source_column, group_column),
        where=_pairs(where or []),
        split=split,
        conditions=[name.strip() for name in conditions.split(",")] if conditions else [],
        scores_from=scores_from or [],
        scores_are_llrs=llr,
        out=out,
        workers=workers,
        device=device,
        replicates=replicates,
        seed=seed,
        identities=identities,
    )
    if report:
        from forensics.shards import storage

        storage.publish(report, as_html(found).encode())
    if scores:
        _write_scores(scores, found)
    print_json(found.report.model_dump(mode="json")) if json else print(as_text(found))
    if found.report.exit_code:
        raise typer.Exit(found.report.exit_code)


def _checked_format(given: str | None) -> Any:
    from forensics.errors import UsageError
    from forensics.evaluation.protocols import FORMATS

    if given is not None and given not in FORMATS:
        raise UsageError(f"there is no format {given!r}", f"there are: {', '.join(FORMATS)}")
    return given


def _columns(source: str | None, group: str | None) -> dict[str, str]:
    return {role: name for role, name in (("source", source), ("group", group)) if name}


def _pairs(given: list[str]) -> dict[str, str]:
    from forensics.errors import UsageError

    pairs = {}
    for text in given:
        column, equals, value = text.partition("=")
        if not equals or not column:
            raise UsageError(f"--where {text!r} is not COLUMN=VALUE", "e.g. --where kind=tts")
        pairs[column.strip()] = value
    return pairs


def _write_scores(path: str, found: Evaluation | PictureEvaluation) -> None:
    from pathlib import Path

    from forensics.evaluation.score_files import write_scores

    alone = len(found.scored) == 1
    for (label, condition), scored in found.scored.items():
        write_scores(Path(path if alone else f"{path}.{label}.{condition}"), scored)
