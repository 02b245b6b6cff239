"""`forensics list`, `configs` and `doctor`: what there is, what is missing, how to get it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from forensics.cli.console import print_json

configs = typer.Typer(help="Show and copy the shipped recipes, configs and cards.")


def list_entries(
    what: Annotated[
        Literal["generators", "detectors", "conditions", "pipelines", "datasets"],
        typer.Argument(help="What to list."),
    ],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """List generators and editors, detectors, conditions, pipelines or datasets."""
    from forensics import catalog

    rows = catalog.rows(what)
    if json:
        for row in rows:
            print_json(row)
        return
    columns = ("name", "modality", "kind", "state")
    widths = {name: max((len(row.get(name, "")) for row in rows), default=0) for name in columns}
    for row in rows:
        cells = [f"{row[name]:{widths[name]}}" for name in columns if name in row]
        print("  ".join([*cells, row["summary"]]))
        for fix in row.get("fixes", ()):
            print(f"{'':{widths['name']}}  get it: {fix}")


@configs.command("ls")
def ls() -> None:
    """Names of all shipped files, by kind."""
    from forensics import resources

    for kind in resources.KINDS:
        for name in resources.names(kind):
            print(f"{kind}/{name}")


@configs.command("show")
def show(name: Annotated[str, typer.Argument(help="E.g. audeter or configs/aasist.")]) -> None:
    """Print one shipped file."""
    print(_locate(name).read_text(encoding="utf-8"), end="")


@configs.command("cp")
def cp(
    name: Annotated[str, typer.Argument(help="E.g. audeter or pipelines/audeter.")],
    target: Annotated[str, typer.Argument(help="File or folder to copy to.")] = ".",
    force: Annotated[bool, typer.Option("--force", help="Overwrite.")] = False,
) -> None:
    """Copy one shipped file, and the files beside it that it names, to edit."""
    import shutil
    from pathlib import Path

    from forensics.errors import MachineError, UsageError

    source = _locate(name)
    place = Path(target)
    place = place / source.name if place.is_dir() else place
    companions = sorted(source.parent.glob(f"{source.stem}-*.txt"))
    copies = [(source, place)] + [(path, place.parent / path.name) for path in companions]
    existing = [str(end) for _, end in copies if end.exists()]
    if existing and not force:
        raise UsageError(f"{existing[0]} exists", "name another target or add --force")
    for start, end in copies:
        try:
            shutil.copyfile(start, end)
        except OSError as error:
            raise MachineError(f"cannot write {end}: {error.strerror}", "name another") from error
        print(end)


def doctor(
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what is installed, what is missing and how to get it (exit code 5 if a core part is)."""
    from forensics import catalog

    report: dict[str, Any] = catalog.examine()
    if json:
        print_json(report)
    else:
        for package in report["packages"]:
            mark = "ok     " if package["works"] else "MISSING"
            print(f"{mark} {package['name']:28} {package['found'] or package['fix']}")
        print(f"\nCPU cores: {report['cpu_cores']}   GPU: {report['gpu']}")
        for sort in ("generators", "detectors"):
            ready = [row["name"] for row in report[sort] if not row["fixes"]]
            print(f"\n{sort} ready here: {', '.join(ready) or 'none'}")
            for row in report[sort]:
                if row["fixes"]:
                    print(f"  {row['name']:22} {row['state']:15} get it: {row['fixes'][0]}")
    if not all(package["works"] for package in report["packages"] if package["core"]):
        raise typer.Exit(5)


def _locate(name: str) -> Any:
    from forensics import resources
    from forensics.errors import UsageError

    kind, slash, rest = name.partition("/")
    if slash and kind in resources.KINDS:
        return resources.find(kind, rest)
    for room in ("pipelines", "configs", "datasets"):  # a pipeline may share its corpus's name
        if name in resources.names(room):
            return resources.find(room, name)
    everything = [f"{room}/{entry}" for room in resources.KINDS for entry in resources.names(room)]
    raise UsageError(f"nothing shipped is named {name!r}", f"there are: {', '.join(everything)}")
