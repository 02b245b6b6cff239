"""`forensics build-dataset`, `inspect` and `verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from forensics.cli.console import print_json

if TYPE_CHECKING:
    from forensics.corpus.build import BuildResult
    from forensics.corpus.index import CorpusInfo


def build_dataset(
    pipeline: Annotated[str, typer.Argument(help="A shipped pipeline or the path of a recipe.")],
    source: Annotated[str, typer.Option(help="Bona fide media: a folder, a CSV, or shards.")],
    out: Annotated[str, typer.Option(help="Corpus folder or bucket URL.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes or Ray tasks at a time.")] = 1,
    runner: Annotated[Literal["local", "ray"], typer.Option(help="Who runs the shards.")] = "local",
    where: Annotated[
        list[str] | None, typer.Option(help="Keep CSV rows with COLUMN=VALUE (repeatable).")
    ] = None,
    systems: Annotated[
        str | None, typer.Option(help="Comma-separated systems of the recipe to keep.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="SYSTEM.PARAMETER=VALUE, over the recipe's (repeatable)."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Replaces the recipe's seed.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and stop.")] = False,
    resume: Annotated[
        bool, typer.Option(help="Keep finished shards; --no-resume wants an empty folder.")
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Build shards that list failures again.")
    ] = False,
    require_all: Annotated[
        bool, typer.Option("--require-all", help="A system that cannot run here is an error.")
    ] = False,
    max_failed: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of failed items, but rejected ones, above which to exit with 3.",
        ),
    ] = 0.05,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Build a corpus: plan, forge, condition, write shards. Goes on where it stopped."""
    from forensics.corpus import build
    from forensics.corpus.describe_plan import describe, render
    from forensics.errors import UsageError

    filters = where_filters(where)
    names = [name.strip() for name in systems.split(",")] if systems else None
    chosen = _settings(settings)
    if dry_run:
        plan, material = build.plan_dataset(
            pipeline,
            source,
            where=filters,
            systems=names,
            settings=chosen,
            seed=seed,
            require_all=require_all,
        )
        summary = describe(plan, material)
        print_json(summary) if json else print(render(summary))
        if plan.missing and require_all:
            raise typer.Exit(5)
        return
    if not resume and build.has_plan(out):
        raise UsageError(f"{out} already holds a corpus", "leave out --no-resume, or empty it")
    result = build.build_dataset(
        pipeline,
        source,
        out,
        workers=workers,
        runner=runner,
        where=filters,
        systems=names,
        settings=chosen,
        seed=seed,
        require_all=require_all,
        retry_failed=retry_failed,
    )
    _print_result(result, json)
    if result.failed_share > max_failed:
        raise typer.Exit(3)


def inspect(
    corpus: Annotated[str, typer.Argument(help="Corpus folder or bucket URL.")],
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print counts, hours, systems, licences and failures of a corpus."""
    from forensics.corpus.index import inspect_corpus

    info = inspect_corpus(corpus)
    print_json(info.model_dump(mode="json")) if json else print(_render_info(info))


def verify(
    corpus: Annotated[str, typer.Argument(help="Corpus folder or bucket URL.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object a damaged shard.")] = False,
) -> None:
    """Hash every shard and name those that are missing, truncated or altered (exit code 4)."""
    from dataclasses import asdict

    from forensics.shards.verify import verify as verify_shards

    damages = verify_shards(corpus)
    for damage in damages:
        print_json(asdict(damage)) if json else print(damage)
    if damages:
        if not json:
            print(f"{len(damages)} damaged; the same build-dataset call rebuilds these alone")
        raise typer.Exit(4)
    if not json:
        print("all shards are as they were written")


def where_filters(where: list[str] | None) -> dict[str, str]:
    """COLUMN=VALUE texts as a dict."""
    from forensics.errors import UsageError

    pairs = [text.partition("=") for text in where or []]
    for column, equals, _ in pairs:
        if not equals or not column:
            raise UsageError(f"--where {column!r} is not COLUMN=VALUE", "e.g. --where split=train")
    return {column: value for column, _, value in pairs}


def _settings(texts: list[str] | None) -> dict[str, dict[str, Any]]:
    """SYSTEM.PARAMETER=VALUE, the value read as YAML."""
    import yaml

    from forensics.errors import UsageError

    settings: dict[str, dict[str, Any]] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        system, dot, parameter = name.rpartition(".")
        if not (equals and dot and system and parameter):
            raise UsageError(
                f"--set {text!r} is not SYSTEM.PARAMETER=VALUE", "e.g. --set lyra.weights=FOLDER"
            )
        try:
            settings.setdefault(system, {})[parameter] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UsageError(f"--set {text!r}: the value is not YAML", "quote it") from error
    return settings


def _print_result(result: BuildResult, json: bool) -> None:
    summary = {
        "out": result.out,
        "plan": result.plan.hash,
        "items": result.items,
        "failed": result.failed,
        "rejected": result.rejected,
        "shards_built": result.built,
        "shards_reused": result.reused,
        "failures_by_reason": result.failures_by_reason,
        "missing_systems": {m.name: list(m.fixes) for m in result.plan.missing},
        "worker_s": round(result.worker_s, 3),
        "generator_s": {name: round(s, 3) for name, s in sorted(result.generator_s.items())},
    }
    if json:
        print_json(summary)
        return
    print(
        f"{result.out}: {result.items} items in {len(result.plan.shards)} shards "
        f"({result.built} built, {result.reused} already there), {result.failed} failed"
        + (f", {result.rejected} of them rejected by checks" if result.rejected else "")
    )
    for reason, count in result.failures_by_reason.items():
        print(f"  {count} × {reason}")
    if result.plan.missing:
        names = ", ".join(m.name for m in result.plan.missing)
        print(f"  not run, missing here: {names} (see --dry-run)")


def _render_info(info: CorpusInfo) -> str:
    done = f"{info.shards} shards"
    if info.shards < info.shards_planned:
        done = f"UNFINISHED: {info.shards} of {info.shards_planned} shards"
    lines = [f"{info.name}   {done}   {info.bytes / 1e6:.1f} MB   plan {info.plan[:12]}", ""]
    unit = "megapixels" if info.edits is not None else "hours"
    lines.append(f"{'split':10} {'items':>8} {'bonafide':>9} {'spoof':>8} {unit:>10} {'groups':>7}")
    for name, split in info.splits.items():
        bonafide, spoof = split.labels.get("bonafide", 0), split.labels.get("spoof", 0)
        amount = getattr(split, unit) or 0.0
        lines.append(
            f"{name:10} {split.items:8} {bonafide:9} {spoof:8} {amount:10.2f} {split.groups:7}"
        )
    lines += ["", f"{'system':24} {'kind':12} {'items':>8} {unit:>10} {'failed':>7}"]
    for name, system in info.systems.items():
        amount = getattr(system, unit) or 0.0
        lines.append(
            f"{name:24} {system.kind:12} {system.items:8} {amount:10.2f} {system.failed:7}"
        )
    for title, counts in (
        ("edits", info.edits),
        ("modes", info.modes),
        ("roles", info.roles),
        ("domains", info.domains),
        ("licences", info.licences),
        ("failures", info.failures_by_reason),
    ):
        if counts:
            lines += ["", title] + [f"  {count:8} {name}" for name, count in counts.items()]
    if info.missing_systems:
        lines += ["", "systems that could not run"]
        lines += [f"  {name}: {why}" for name, why in info.missing_systems.items()]
    return "\n".join(lines)
