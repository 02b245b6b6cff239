"""The demo's third part: people, forgeries of them, one of them enrolled, and what is said then."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from forensics.demo.timing import timed

if TYPE_CHECKING:
    from forensics.corpus.build import BuildResult
    from forensics.shards.format import Item
    from forensics.verdict.schema import Verdict

_PEOPLE, _PHOTOS = 8, 6
_SYSTEMS = ["swap-alpha", "self-blend", "swap-poisson"]
_JUDGED = 2
NAME = "person0"


@dataclass
class PeopleDemo:
    """What was made of drawn people. `pictures` claim to show the enrolled one, or others."""

    build: BuildResult
    sheet: Path
    gate: str
    pictures: list[tuple[Item, Verdict]]


def run_people(out: Path, workers: int, seconds: dict[str, float]) -> PeopleDemo:
    """Build `out/people-corpus` of drawn portraits, enrol one person, judge photos for them."""
    from forensics.corpus.build import build_dataset
    from forensics.demo.contact_sheet import contact_sheet
    from forensics.demo.portrait import write_portraits
    from forensics.identity.asking import Asking
    from forensics.identity.enrol import enrol
    from forensics.identity.store import IdentityStore
    from forensics.verdict.detect import detect
    from forensics.verdict.report import write_report

    photos = write_portraits(out / "portraits", _PEOPLE, _PHOTOS)
    corpus = out / "people-corpus"
    with timed(seconds, "build of people"):
        build = build_dataset("identity", photos, corpus, workers=workers, systems=_SYSTEMS)
        sheet = out / "people.png"
        contact_sheet(corpus, sheet, rows=6, split="train")
    with timed(seconds, "enrol and detect people"):
        store = IdentityStore(out / "identities")
        items = _read(corpus)
        # What enrols is what the corpus sets apart for it: nothing that is judged is made of it.
        apart = [item for item in items if item.meta.params["use"] == "enrol"]
        saved = {_save(out / "enrolled", one): one.meta.params["claimed"] for one in apart}
        done = enrol(
            NAME,
            [path for path, shows in saved.items() if shows == NAME],
            others=[path for path, shows in saved.items() if shows != NAME],
            store=store,
            replace=True,
        )
        chosen = _choose(items)
        paths = [_save(out / "faces", item) for item in chosen]
        verdicts = detect(list(map(str, paths)), identity=NAME, asking=Asking(store=store))
        write_report(verdicts, out / "people-verdicts.html", sources=paths)
    gate = done.identity.card.gate
    said = f"{len(done.used)} photos; a face passes from a similarity of {gate.threshold:.3f} on"
    return PeopleDemo(build, sheet, said, list(zip(chosen, verdicts, strict=True)))


def _read(corpus: Path) -> list[Item]:
    from forensics.shards.reader import read_shard

    return [item for tar in sorted((corpus / "shards").glob("*.tar")) for item in read_shard(tar)]


def _choose(items: list[Item]) -> list[Item]:
    """A few of the enrolled person and of others, of every role."""
    items = [item for item in items if item.meta.params["use"] != "enrol"]
    items.sort(key=lambda item: (item.meta.params["claimed"] != NAME, item.key))
    taken: dict[str, list[Item]] = {}
    for item in items:
        taken.setdefault(item.meta.params["role"], []).append(item)
    return [item for role in sorted(taken) for item in taken[role][:_JUDGED]]


def _save(folder: Path, item: Item) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{item.meta.params['role']}-{item.key}.{item.extension}"
    path.write_bytes(item.media)
    return path
