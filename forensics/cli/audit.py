"""`forensics audit`: do labels leak through anything other than the forgery?"""

from __future__ import annotations

from typing import Annotated

import typer

from forensics.cli.console import print_json


def audit(
    corpus: Annotated[
        str,
        typer.Argument(help="Corpus folder or URL, or a CSV: path,label[,group,system]."),
    ],
    limit: Annotated[
        list[str] | None,
        typer.Option(
            help="AUC a family may reach: 0.6 for all, FAMILY=0.7 for one, FAMILY=off to report "
            "it without judging (repeatable)."
        ),
    ] = None,
    max_items: Annotated[
        int, typer.Option(min=1, help="Sample larger corpora, by source.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(help="Of folds, classifier and resamples.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    report: Annotated[str | None, typer.Option(help="Write an HTML report there.")] = None,
) -> None:
    """Find out whether trivial features tell the labels apart (exit code 4 if so).

    Exit code 3: too few items or groups to judge.
    """
    from forensics.auditing.report import as_text
    from forensics.auditing.run import DEFAULT_LIMIT
    from forensics.auditing.run import audit as run_audit

    general, limits = _parse_limits(limit or [], DEFAULT_LIMIT)
    result = run_audit(corpus, general, limits, max_items=max_items, seed=seed, progress=True)
    if report:
        from forensics.auditing.html import as_html
        from forensics.shards import storage

        storage.publish(report, as_html(result).encode())
    print_json(result.model_dump(mode="json")) if json else print(as_text(result))
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _parse_limits(given: list[str], default: float) -> tuple[float, dict[str, float | None]]:
    from forensics.errors import UsageError

    general, limits = default, {}
    for text in given:
        family, equals, value = text.rpartition("=")
        try:
            number = None if equals and value == "off" else float(value)
        except ValueError as error:
            raise UsageError(
                f"--limit {text!r} is not a number", "e.g. --limit 0.65 --limit bandwidth=off"
            ) from error
        if equals:
            limits[family] = number
        elif number is not None:
            general = number
    return general, limits
