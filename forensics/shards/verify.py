"""Checks shards against their sidecars: what is missing, cut or altered, down to the member."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal

from forensics.errors import CorpusError
from forensics.progress import Progress
from forensics.shards import storage
from forensics.shards.format import Sidecar, Split, canonical_json, parse_json
from forensics.shards.reader import read_sidecar
from forensics.shards.tar import TarStream

DamageKind = Literal[
    "missing_tar",
    "missing_sidecar",
    "invalid_sidecar",
    "other_plan",
    "other_split",
    "not_in_plan",
    "truncated",
    "too_long",
    "altered",
]

_MAX_LIST_BYTES = 4 << 30


@dataclass(frozen=True)
class Damage:
    """What is wrong with one shard. `members` are those whose own bytes differ, where known."""

    shard: str
    kind: DamageKind
    detail: str
    members: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.shard}: {self.detail}"


def check_shard(
    folder: storage.Url, name: str, plan: str | None = None, deep: bool = True
) -> Damage | None:
    """None when `<folder>/<name>.tar` is what its sidecar promises.

    Args:
        plan: hash of the plan that it must belong to.
        deep: hash the tar, and on a difference name the members; False compares sizes only.

    Raises:
        MachineError: the files may not be read.
    """
    return _check(folder, name, plan, deep)[0]


def verify(corpus: storage.Url, plan: str | None = None, deep: bool = True) -> list[Damage]:
    """The damage in all shards that the corpus names or that lie in it, sorted by shard.

    Shards are read in parallel threads; progress goes to standard error.

    Args:
        plan: hash of the plan that they must belong to; None: the corpus's own.

    Raises:
        CorpusError: no shard is named or there.
    """
    folder = storage.join(corpus, "shards")
    listing = read_listing(corpus)
    names = sorted(present_shards(corpus).union(listing.shards if listing else ()))
    if not names:
        raise CorpusError(f"{os.fspath(corpus)}: no corpus is here", "name the folder it is in")
    found: dict[str, Damage] = {}
    sound: dict[str, Sidecar] = {}
    workers = min(8, os.cpu_count() or 1)
    with (
        ThreadPoolExecutor(workers) as pool,
        Progress(len(names), "verifying", "shards") as progress,
    ):
        results = pool.map(lambda name: _check(folder, name, plan, deep), names)
        for name, (damage, sidecar) in zip(names, results, strict=True):
            progress.advance()
            if damage is not None:
                found[name] = damage
            elif sidecar is not None:
                sound[name] = sidecar.model_copy(update={"items": {}, "masks": {}})
    return sorted([*found.values(), *_misfits(sound, listing)], key=lambda damage: damage.shard)


@dataclass(frozen=True)
class Listing:
    """The shards that a corpus says it has: names → splits, and the hash of their plan."""

    shards: dict[str, Split]
    plan: str


def read_listing(corpus: storage.Url) -> Listing | None:
    """From `info.json`, which a finished build leaves, else from `plan.json`; None without both.

    Raises:
        CorpusError: the file is there and lists no shards.
    """
    for name, listed in (("info.json", _listed_by_info), ("plan.json", _listed_by_plan)):
        url = storage.join(corpus, name)
        if storage.size(url) is None:
            continue
        try:
            return listed(parse_json(storage.read(url, _MAX_LIST_BYTES)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CorpusError(f"{url}: lists no shards ({error!r})", "build it again") from error
    return None


def _listed_by_info(info: Any) -> Listing:
    splits = info["splits"].items()
    shards = {name: split for split, entry in splits for name in entry["shards"]}
    return Listing(shards, info["plan"])


def _listed_by_plan(plan: Any) -> Listing:
    return Listing({entry["name"]: entry["split"] for entry in plan["shards"]}, plan["hash"])


def present_shards(corpus: storage.Url) -> set[str]:
    """Names of which a tar or a sidecar lies in the corpus."""
    found = (name.rpartition(".") for name in storage.names(storage.join(corpus, "shards")))
    return {stem for stem, _, extension in found if extension in ("tar", "json")}


def _check(
    folder: storage.Url, name: str, plan: str | None, deep: bool
) -> tuple[Damage | None, Sidecar | None]:
    tar_url = storage.tar_url(folder, name)
    size = storage.size(tar_url)
    if storage.size(storage.sidecar_url(folder, name)) is None:
        what = "nothing is there" if size is None else "it was never finished (no sidecar)"
        return Damage(name, "missing_tar" if size is None else "missing_sidecar", what), None
    try:
        sidecar = read_sidecar(folder, name)
    except CorpusError as error:
        return Damage(name, "invalid_sidecar", error.what), None
    damage = None
    if plan is not None and sidecar.plan != plan:
        damage = Damage(name, "other_plan", f"belongs to plan {sidecar.plan}, not {plan}")
    elif size is None:
        damage = Damage(name, "missing_tar", "the tar is gone, its sidecar is there")
    elif size != sidecar.bytes:
        kind = "truncated" if size < sidecar.bytes else "too_long"
        damage = Damage(name, kind, f"{size} bytes, its sidecar promises {sidecar.bytes}")
    elif deep:
        damage = _check_content(tar_url, name, sidecar)
    return damage, sidecar


def _misfits(sound: dict[str, Sidecar], listing: Listing | None) -> list[Damage]:
    """Shards that are whole and yet do not belong: not listed, in another split, of another plan.

    Without a listing, the plan of most shards is the right one.
    """
    plans = Counter(sidecar.plan for sidecar in sound.values())
    plan = listing.plan if listing else max(plans, key=lambda plan: plans[plan], default="")
    found = []
    for name, sidecar in sound.items():
        split = listing.shards.get(name) if listing else sidecar.split
        if split is None:
            found.append(Damage(name, "not_in_plan", "the plan does not name it"))
        elif split != sidecar.split:
            what = f"the plan puts it in {split!r}, its sidecar in {sidecar.split!r}"
            found.append(Damage(name, "other_split", what))
        elif sidecar.plan != plan:
            what = f"belongs to plan {sidecar.plan}, the corpus to {plan}"
            found.append(Damage(name, "other_plan", what))
    return found


def _check_content(url: str, name: str, sidecar: Sidecar) -> Damage | None:
    with storage.open_read(url) as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
        if digest == sidecar.sha256:
            return None
        members, stopped = _altered_members(stream, name, sidecar)
    detail = "its SHA-256 differs"
    if members:
        detail += f"; altered: {', '.join(members[:5])}" + (" …" if len(members) > 5 else "")
    if stopped:
        detail += f"; not readable to the end: {stopped}"
    if not members and not stopped:
        detail += "; what differs lies between the members"
    return Damage(name, "altered", detail, tuple(members))


def _altered_members(stream: BinaryIO, name: str, sidecar: Sidecar) -> tuple[list[str], str | None]:
    """Members whose bytes are not the promised ones, and why the walk ended early, if it did."""
    altered: list[str] = []
    try:
        tar = TarStream(stream, name)
        for member, _ in tar:
            key, _, extension = member.partition(".")
            meta = sidecar.items.get(key)
            data = tar.read()
            if meta is None:
                same = False
            elif extension == "json":
                same = data == canonical_json(meta)
            else:
                promised = sidecar.masks.get(key) if extension == "mask.png" else meta.sha256
                same = hashlib.sha256(data).hexdigest() == promised
            if not same:
                altered.append(member)
    except CorpusError as error:
        return altered, error.what
    return altered, None
