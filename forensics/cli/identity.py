"""`forensics identity`: people that detections can be asked about."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from forensics.cli.console import print_json, visible

if TYPE_CHECKING:
    from forensics.faces.tools import FaceConfig
    from forensics.identity.card import IdentityCard
    from forensics.identity.store import IdentityStore
    from forensics.identity.tokens import TokenPlan

app = typer.Typer(
    name="identity",
    help="People that detect can be asked about: enrol, list, delete, hand over.",
    no_args_is_help=True,
)
Store = Annotated[
    str | None,
    typer.Option(
        metavar="FOLDER",
        help="Where people lie.",
        show_default="$FORENSICS_IDENTITIES, else the user's data folder",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]
Name = Annotated[str, typer.Argument(help="As enrolled, or its slug.")]
Faces = Annotated[
    str | None,
    typer.Option(metavar="YAML", help="What finds and compares faces; default: needs no download."),
]


@app.command("enrol")
def enrol(
    name: Annotated[str, typer.Argument(help="As people write it.")],
    images: Annotated[
        list[str],
        typer.Option(metavar="FOLDER", help="Real photos, one face each (repeatable); 3 or more."),
    ],
    consent: Annotated[
        str | None, typer.Option(metavar="JSON", help="Consent record; see docs/privacy.md.")
    ] = None,
    licence: Annotated[str, typer.Option(help="Terms under which the photos were given.")] = "",
    others: Annotated[
        list[str] | None,
        typer.Option(metavar="FOLDER", help="Photos of other people: gate and hard negatives."),
    ] = None,
    fakes: Annotated[
        list[str] | None, typer.Option(metavar="FOLDER", help="Known forgeries; with --model.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="FOLDER", help="Vision-language model that learns tokens; or a cached hub id."
        ),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="How tokens are learned: a shipped config or a YAML file.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="FIELD=VALUE over the config's, e.g. steps=200."),
    ] = None,
    words: Annotated[
        str | None,
        typer.Option(metavar="CSV", help="What photos show, for reasons; see docs/identity.md."),
    ] = None,
    pick: Annotated[
        str, typer.Option(help="In photos of several faces: only (skip them) or largest.")
    ] = "only",
    quantisation: Annotated[
        str | None, typer.Option(help="4bit or 8bit: of the model, on CUDA.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where the model computes: cpu or cuda.")] = "cpu",
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of whoever has this name.")
    ] = False,
    faces: Faces = None,
    store: Store = None,
    json: Json = False,
) -> None:
    """Learn a person from real photos. No photo is kept.

    Without --model a face-embedding gate is learnt; with it also tokens of this person.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from forensics.identity.enrol import enrol as run

    done = run(
        name,
        images,
        consent=consent,
        licence=licence,
        others=others,
        fakes=fakes,
        tokens=_plan(model, device, quantisation, config, settings),
        words=words,
        pick=_one_of(pick, "--pick", "only", "largest"),
        faces=face_config(faces),
        store=store,
        replace=replace,
        show_progress=True,
    )
    for skip in done.skipped:
        print(f"skipped {visible(skip.name)}: {visible(skip.reason)}", file=sys.stderr)
    for note in done.notes:
        print(f"note: {visible(note)}", file=sys.stderr)
    card = done.identity.card
    if json:
        skipped = [{"name": skip.name, "reason": skip.reason} for skip in done.skipped]
        print_json(
            {
                **card.model_dump(mode="json"),
                "folder": str(done.place),
                "used": done.used,
                "skipped": skipped,
                "notes": done.notes,
            }
        )
        return
    print(f"{card.name} is enrolled as {card.slug} from {card.photos} photos, in {done.place}")
    print(f"gate: similarity {card.gate.threshold:.3f} ({card.gate.origin})")


@app.command("ls")
def ls(store: Store = None, json: Json = False) -> None:
    """Who is enrolled."""
    from forensics.identity.card import IdentityCard

    home = _store(store)
    cards = home.cards()
    if json:
        print_json(
            [
                card.model_dump(mode="json")
                if isinstance(card, IdentityCard)
                else {"slug": slug, "error": str(card)}
                for slug, card in cards
            ]
        )
        return
    for slug, card in cards:
        if isinstance(card, IdentityCard):
            learnt = f"{len(card.tokens.names)} tokens" if card.tokens else "gate alone"
            consent = _consent(card)
            print(f"{slug:24}  {card.name}  {card.photos} photos, {learnt}, {consent}")
        else:
            print(f"{slug:24}  cannot be read: {visible(card.what)}")
    if not cards:
        print(f"nobody is enrolled in {home.folder}", file=sys.stderr)


@app.command("show")
def show(name: Name, store: Store = None, json: Json = False) -> None:
    """All that is stored about a person, but the vectors."""
    home = _store(store)
    person = home.get(name)
    shapes = {what: list(array.shape) for what, array in person.vectors().items()}
    known: dict[str, Any] = {**person.card.model_dump(mode="json"), "vectors": shapes}
    if json:
        print_json(known)
        return
    from json import dumps

    print(f"# {home.folder / person.card.slug}", file=sys.stderr)
    print(dumps(known, indent=2, ensure_ascii=False))


@app.command("rm")
def rm(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Whom.")],
    store: Store = None,
    json: Json = False,
) -> None:
    """Delete people: overwrites and removes all that the store holds about them."""
    home = _store(store)
    # Nobody is deleted when one name is wrong; a person who is named twice is deleted once.
    slugs = list(dict.fromkeys(home.find(name) for name in names))
    removed = []
    for slug in slugs:
        removed.append(home.remove(slug))
        print(
            f"{slug}: {removed[-1].files} files overwritten and removed",
            file=sys.stderr if json else sys.stdout,
        )
    beyond = removed[0].beyond
    if json:
        gone = [{"slug": one.slug, "files": one.files} for one in removed]
        print_json({"removed": gone, "beyond": beyond})
        return
    print("what this cannot reach:", *beyond, sep="\n  ", file=sys.stderr)


@app.command("export")
def export(
    name: Name,
    file: Annotated[str, typer.Argument(help="To write; safetensors.")],
    replace: Annotated[bool, typer.Option("--replace", help="Overwrite the file.")] = False,
    store: Store = None,
) -> None:
    """Write a person to one file: biometric data, readable by you alone."""
    from forensics.identity.transfer import write_identity

    print(write_identity(_store(store).get(name), file, replace))


@app.command("import")
def import_(
    file: Annotated[str, typer.Argument(help="What export wrote.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of whoever has this name.")
    ] = False,
    store: Store = None,
) -> None:
    """Take over a person from a file, checked as an enrolment is."""
    from forensics.identity.transfer import read_identity

    person = read_identity(file)
    if person.card.consent is not None:
        person.card.consent.check(person.card.name)
    print(_store(store).save(person, replace))


def face_config(path: str | None) -> FaceConfig | None:
    """The face tools that a YAML file names."""
    if path is None:
        return None
    import yaml
    from pydantic import ValidationError

    from forensics.errors import UsageError
    from forensics.faces.tools import FaceConfig

    try:
        return FaceConfig.model_validate(yaml.safe_load(Path(path).read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError, UnicodeDecodeError) as error:
        example = "{locator: {use: yunet, model: yunet.onnx}, embedder: {use: onnx, model: x.onnx}}"
        raise UsageError(f"{path} names no face tools: {error}", f"write {example}") from error


def _plan(
    model: str | None,
    device: str,
    quantisation: str | None,
    config: str | None,
    settings: list[str] | None,
) -> TokenPlan | None:
    from forensics.errors import UsageError

    if model is None:
        if settings or quantisation or config:
            what = "--config, --set and --quantisation are about a model"
            raise UsageError(what, "name one with --model")
        return None
    from forensics.identity.tokens import TokenPlan, token_settings

    chosen = None
    if quantisation is not None:
        chosen = _one_of(quantisation, "--quantisation", "4bit", "8bit")
    return TokenPlan(model, device, chosen, token_settings(settings or [], config))


def _one_of(given: str, option: str, *allowed: str) -> Any:
    from forensics.errors import UsageError

    if given not in allowed:
        raise UsageError(f"{option} {given}", f"use {' or '.join(allowed)}")
    return given


def _consent(card: IdentityCard) -> str:
    if card.consent is None:
        return "no consent record"
    until = f" until {card.consent.expires}" if card.consent.expires else ""
    return f"{card.consent.basis} of {card.consent.given}{until}"


def _store(folder: str | None) -> IdentityStore:
    from forensics.identity.store import IdentityStore

    return IdentityStore(folder)
