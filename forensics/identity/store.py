"""Where enrolled people lie: one folder each, of a few kilobytes, and no photo among them.

    <store>/<slug>/identity.json          what is known (`IdentityCard`)
    <store>/<slug>/identity.safetensors   face_centre, and rows of tokens where a VLM was used
    <store>/<slug>/model-folder           where that VLM lies, if in a folder; not exported

Folders have mode 0700, files 0600. An identity appears and is replaced whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import ValidationError

from forensics.errors import CorpusError, ForensicsError, MachineError, UsageError
from forensics.identity import tensors
from forensics.identity.card import IdentityCard, first_problem
from forensics.identity.names import SLUG, checked_name, slug_of, unknown
from forensics.identity.tensors import Identity
from forensics.identity.wiping import sync_folder, wipe, write_private
from forensics.locks import alone
from forensics.media.raw import RawFile

ENVIRONMENT = "FORENSICS_IDENTITIES"
CARD, VECTORS = "identity.json", "identity.safetensors"
MODEL = "model-folder"
_MAX_CARD = 1 << 20
_MAX_PATH = 1 << 14
_MODE = 0o700
_NEW, _OLD = ".new-", ".old-"


def default_folder() -> Path:
    """$FORENSICS_IDENTITIES, else `forensics/identities` in the user's data directory (XDG)."""
    named = os.environ.get(ENVIRONMENT)
    if named:
        return Path(named).expanduser()
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser() / "forensics" / "identities"


@dataclass(frozen=True)
class Removed:
    """What `IdentityStore.remove` did.

    Attributes:
        slug: of whom; files: how many were overwritten and removed.
        beyond: where data on the person may still be, in words.
    """

    slug: str
    files: int
    beyond: tuple[str, ...] = (
        "files that were exported from here, and whoever imported them",
        "backups and snapshots of this machine, and blocks that an SSD or a copy-on-write file "
        "system keeps after overwriting",
        "the photos the person was enrolled from, and corpora, detectors and reports made of them",
    )


class IdentityStore:
    """The people enrolled in one folder.

    Args:
        folder: made on the first enrolment; None takes `default_folder()`.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None):
        self.folder = Path(folder).expanduser() if folder is not None else default_folder()

    def slugs(self) -> list[str]:
        """Of everybody enrolled, sorted."""
        try:
            found = [p for p in self.folder.iterdir() if SLUG.fullmatch(p.name)]
        except FileNotFoundError:
            return []
        except OSError as error:
            raise _refused(self.folder, error) from error
        return sorted(p.name for p in found if p.is_dir() and not p.is_symlink())

    def cards(self) -> list[tuple[str, IdentityCard | ForensicsError]]:
        """Slug and card of everybody, or why the card cannot be read."""
        return [(slug, self._card_or_why(slug)) for slug in self.slugs()]

    def find(self, name: str) -> str:
        """The slug of a name or slug.

        Raises:
            UsageError: nobody is enrolled under it; the message offers near names.
        """
        slugs = self.slugs()
        slug = name if name in slugs else slug_of(checked_name(name))
        if slug not in slugs:
            raise unknown(name, self._names(), self.folder)
        return slug

    def get(self, name: str) -> Identity:
        """Everything that is stored about one person, checked.

        Raises:
            UsageError: nobody is enrolled under that name.
            CorpusError: damaged or poisoned files.
        """
        slug = self.find(name)
        place = self.folder / slug
        card = self._card(slug)
        vectors = tensors.decode(_read(place / VECTORS, tensors.MAX_BYTES), str(place / VECTORS))
        person = tensors.assemble(card, vectors, str(place))
        return replace(person, model_folder=_model_folder(place / MODEL))

    def save(self, identity: Identity, replace: bool = False) -> Path:
        """Store a person; the folder appears whole or not at all.

        Raises:
            UsageError: somebody of that name or slug is there and `replace` is not set.
            MachineError: the store cannot be written.
        """
        slug = identity.card.slug
        with self._changing():
            if not replace:
                self.check_free(identity.card.name)
            try:
                self._put(slug, identity)
            except OSError as error:
                raise _refused(self.folder, error) from error
        return self.folder / slug

    def check_free(self, name: str) -> None:
        """Raises UsageError when a name, or the slug that it shares, is taken."""
        slug = slug_of(name)
        if slug not in self.slugs():
            return
        card = self._card_or_why(slug)
        taken = card.name if isinstance(card, IdentityCard) else "a damaged identity"
        raise UsageError(
            f"{taken!a} is already enrolled as {slug}",
            f"--replace enrols {name!a} in its place; or choose another name",
        )

    def remove(self, name: str) -> Removed:
        """Overwrite and remove all that this store holds about a person, damaged or not.

        Raises:
            UsageError: nobody is enrolled under that name.
            MachineError: something cannot be removed.
        """
        if not self.folder.is_dir():
            raise unknown(name, {}, self.folder)
        with self._changing():
            slug = self.find(name)
            try:
                files = wipe(self.folder / slug)
                sync_folder(self.folder)
            except OSError as error:
                raise _refused(self.folder / slug, error) from error
        return Removed(slug, files)

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Nobody else writes meanwhile, and what a killed writer left is cleared up."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=_MODE)
        except OSError as error:
            raise _refused(self.folder, error) from error
        with alone(self.folder, "enrolment", "--store"):
            try:
                self._clear_up()
            except OSError as error:
                raise _refused(self.folder, error) from error
            yield

    def _clear_up(self) -> None:
        for left in self.folder.glob(f"{_NEW}*"):
            wipe(left)
        for left in self.folder.glob(f"{_OLD}*"):
            target = self.folder / left.name.removeprefix(_OLD)
            if target.exists():
                wipe(left)
            else:  # the writer was killed between two renames
                left.rename(target)

    def _put(self, slug: str, identity: Identity) -> None:
        target, new, old = (self.folder / f"{prefix}{slug}" for prefix in ("", _NEW, _OLD))
        new.mkdir(mode=_MODE)
        write_private(new / VECTORS, tensors.encode(identity.vectors()))
        write_private(new / CARD, identity.card.model_dump_json(indent=2).encode() + b"\n")
        if identity.model_folder is not None:
            write_private(new / MODEL, os.fsencode(identity.model_folder))
        if target.exists():
            target.rename(old)
        new.rename(target)
        sync_folder(self.folder)
        if old.exists():
            wipe(old)

    def _card(self, slug: str) -> IdentityCard:
        path = self.folder / slug / CARD
        try:
            card = IdentityCard.model_validate_json(_read(path, _MAX_CARD))
        except ValidationError as error:
            raise CorpusError(
                f"{path}: {first_problem(error)}", "enrol the person again"
            ) from error
        if card.slug != slug:
            raise CorpusError(f"{path}: is the card of {card.slug}", "enrol the person again")
        return card

    def _names(self) -> dict[str, str]:
        """Slug → name of everybody; of a damaged card the slug stands for the name."""
        return {
            slug: card.name if isinstance(card, IdentityCard) else slug
            for slug, card in self.cards()
        }

    def _card_or_why(self, slug: str) -> IdentityCard | ForensicsError:
        try:
            return self._card(slug)
        except ForensicsError as error:
            return error


def _read(path: Path, limit: int) -> bytes:
    """A regular file, not a link, of a bounded size."""
    try:
        if path.is_symlink():
            raise CorpusError(f"{path} is a link", "enrol the person again")
        with RawFile(path, limit) as raw:
            return raw.read_at(0, limit)
    except CorpusError:
        raise
    except ForensicsError as error:
        raise CorpusError(error.what, "enrol the person again") from error


def _model_folder(path: Path) -> Path | None:
    if not path.exists() and not path.is_symlink():
        return None
    return Path(os.fsdecode(_read(path, _MAX_PATH)))


def _refused(path: Path, error: OSError) -> MachineError:
    return MachineError(
        f"{path}: {error.strerror}", f"name another folder with --store or ${ENVIRONMENT}"
    )
