"""One person as one file: safetensors with the card in the header. No paths, no pickle."""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import ValidationError

from forensics.errors import CorpusError, MachineError, UsageError
from forensics.identity import tensors
from forensics.identity.card import IdentityCard, first_problem
from forensics.identity.tensors import Identity
from forensics.identity.wiping import replace_private
from forensics.media.raw import RawFile

KEY = "forensics_identity"


def write_identity(identity: Identity, path: str | os.PathLike[str], replace: bool = False) -> Path:
    """Write the file, of mode 0600, whole or not at all.

    Raises:
        UsageError: there is a file and `replace` is not set.
        MachineError: it cannot be written.
    """
    target = Path(path)
    if target.exists() and not replace:
        raise UsageError(f"{target} is there already", "name another file, or add --replace")
    data = tensors.encode(identity.vectors(), {KEY: identity.card.model_dump_json()})
    try:
        replace_private(target, data)
    except OSError as error:
        raise MachineError(f"{target}: {error.strerror}", "name another file") from error
    return target


def read_identity(path: str | os.PathLike[str]) -> Identity:
    """Read an exported file, checked as an enrolment is; nothing in it says where it goes but the
    name of the person.

    Raises:
        MediaError: there is no such file, or it is too large.
        CorpusError: damaged or poisoned.
    """
    source = os.fspath(path)
    with RawFile(source, tensors.MAX_BYTES) as raw:
        data = raw.read_at(0, tensors.MAX_BYTES)
    vectors = tensors.decode(data, source)
    found = tensors.metadata(data).get(KEY)
    if found is None:
        raise CorpusError(f"{source}: no identity's card", "name a file that was exported")
    try:
        card = IdentityCard.model_validate_json(found)
    except ValidationError as error:
        raise CorpusError(f"{source}: {first_problem(error)}", "get the file again") from error
    return tensors.assemble(card, vectors, source)
