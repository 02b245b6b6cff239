"""Names, keys and seeds: what a corpus calls things, from hashes that say nothing of labels."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

BONAFIDE = "bonafide"
_SLUG_LENGTH = 40


def item_key(source_id: str, system: str) -> str:
    """The key of one item: hashes only, so that a file name never tells its label."""
    family = hashlib.sha256(source_id.encode()).hexdigest()[:12]
    member = hashlib.sha256(f"{source_id}\n{system}".encode()).hexdigest()[:12]
    return f"{family}-{member}"


def item_seed(seed: int, *parts: str) -> int:
    """A 63-bit seed that depends on the recipe's seed and the names given, on nothing else."""
    digest = hashlib.sha256("\n".join((str(seed), *parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def source_id(*parts: str) -> str:
    """A readable id that stays unique: the end of the last part and a hash of all of them."""
    stem = re.sub(r"[^a-z0-9]+", "-", Path(parts[-1]).stem.lower()).strip("-")[:_SLUG_LENGTH]
    return f"{stem or 'x'}-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:12]}"


def slug(name: str) -> str:
    """A name as it may stand in a file name: [a-z0-9_-]+, long ones cut and told apart."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-") or "x"
    if len(plain) <= _SLUG_LENGTH:
        return plain
    return f"{plain[:_SLUG_LENGTH]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
