"""The command line. Every command is a thin call into the package and imports it when it runs."""

from __future__ import annotations

import logging
import sys

import typer

from forensics.cli import (
    audit,
    catalog,
    corpus,
    demo,
    detect,
    evaluate,
    export,
    identity,
    sheet,
    train,
    weights,
)
from forensics.cli.console import flush_stdout, print_error
from forensics.errors import ForensicsError, MachineError

app = typer.Typer(
    name="forensics",
    help="Make forged media, learn from it, and tell forged media from real.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("detect")(detect.detect)
app.command("build-dataset")(corpus.build_dataset)
app.command("inspect")(corpus.inspect)
app.command("contact-sheet")(sheet.contact_sheet)
app.command("verify")(corpus.verify)
app.command("export")(export.export)
app.command("audit")(audit.audit)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("import-weights")(weights.import_weights)
app.command("export-onnx")(weights.export_onnx)
app.command("list")(catalog.list_entries)
app.add_typer(catalog.configs, name="configs")
app.command("demo")(demo.demo)
app.add_typer(identity.app)
app.command("doctor")(catalog.doctor)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        print(f"forensics {version('forensics')}")
        raise typer.Exit


@app.callback()
def _root(
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log what is being done."),
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(levelname)s %(name)s: %(message)s")


def main() -> None:
    """Entry point: expected errors become two lines and an exit code, all else a traceback."""
    try:
        try:
            app()
        finally:
            flush_stdout()
    except ForensicsError as error:
        print_error(error)
        sys.exit(error.exit_code)
    except OSError as error:  # standard output on a full disk, a folder that vanished
        logging.getLogger(__name__).info("", exc_info=True)
        print_error(MachineError(f"the system refused: {error}", "see the message; -v says where"))
        sys.exit(MachineError.exit_code)
