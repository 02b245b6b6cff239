"""An identity's vectors as bytes and back. What comes from a file is believed only when checked."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from forensics.errors import CorpusError
from forensics.identity.card import IdentityCard

MAX_BYTES = 16 << 20
CENTRE, INPUT, OUTPUT = "face_centre", "input_rows", "output_rows"
_MAX_DIMENSIONS = 65_536
_MAX_VALUE = 1e3  # rows of language models stay below 10; larger ones would drown every prompt
_UNIT_TOLERANCE = 1e-3
_FIX = "enrol the person again, or get the file again from whoever exported it"


@dataclass(frozen=True)
class Identity:
    """One enrolled person.

    Attributes:
        card: what is known besides vectors.
        centre: float32 (D,), a unit vector: the mean direction of the person's embedded photos.
        input_rows, output_rows: float32 (T, d), of the tokens in the embedding and in the LM head;
            None without tokens.
        model_folder: where on this machine the model of the tokens lies; None where it was a hub
            id, and after an import. Never exported, and never taken from a file that was.
    """

    card: IdentityCard
    centre: np.ndarray
    input_rows: np.ndarray | None = None
    output_rows: np.ndarray | None = None
    model_folder: Path | None = None

    def vectors(self) -> dict[str, np.ndarray]:
        named = {CENTRE: self.centre, INPUT: self.input_rows, OUTPUT: self.output_rows}
        return {name: array for name, array in named.items() if array is not None}


def digest(vectors: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, shapes and values; the same whichever library wrote the file."""
    found = hashlib.sha256()
    for name in sorted(vectors):
        array = np.ascontiguousarray(vectors[name], dtype="<f4")
        found.update(f"{name} {array.shape} ".encode() + array.tobytes())
    return found.hexdigest()


def encode(vectors: Mapping[str, np.ndarray], metadata: dict[str, str] | None = None) -> bytes:
    """safetensors."""
    from safetensors.numpy import save

    named = {n: np.ascontiguousarray(a, dtype=np.float32) for n, a in vectors.items()}
    return save(named, metadata=metadata)


def decode(data: bytes, source: str) -> dict[str, np.ndarray]:
    """Vectors from safetensors; never pickle.

    Raises:
        CorpusError: too large, damaged, other tensors than an identity's, or values that are not
            finite, unit or of a sane size.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    if len(data) > MAX_BYTES:
        raise _poisoned(source, f"{len(data)} bytes, and an identity has at most {MAX_BYTES}")
    try:
        vectors = load(data)
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise _poisoned(source, f"no safetensors: {str(error)[:120]}") from error
    if set(vectors) not in ({CENTRE}, {CENTRE, INPUT, OUTPUT}):
        raise _poisoned(source, f"holds {sorted(vectors)[:5]}, which are not an identity's vectors")
    for name, array in vectors.items():
        _check(name, array, source)
    if INPUT in vectors and vectors[INPUT].shape != vectors[OUTPUT].shape:
        shapes = f"{vectors[INPUT].shape} and {vectors[OUTPUT].shape}"
        raise _poisoned(source, f"token rows of two shapes, {shapes}")
    return vectors


def assemble(card: IdentityCard, vectors: dict[str, np.ndarray], source: str) -> Identity:
    """Card and vectors that belong together.

    Raises:
        CorpusError: they do not.
    """
    if digest(vectors) != card.sha256:
        raise _poisoned(source, "its vectors do not match the SHA-256 that its card pins")
    rows = vectors.get(INPUT)
    if (rows is None) != (card.tokens is None):
        raise _poisoned(source, "its card and its vectors differ on whether there are tokens")
    if rows is not None and card.tokens is not None and len(rows) != len(card.tokens.names):
        raise _poisoned(source, f"{len(rows)} token rows for {len(card.tokens.names)} tokens")
    return Identity(card, vectors[CENTRE], rows, vectors.get(OUTPUT))


def metadata(data: bytes) -> dict[str, str]:
    """The header's metadata of safetensors that `decode` has taken."""
    length = int.from_bytes(data[:8], "little")
    found = json.loads(data[8 : 8 + length]).get("__metadata__", {})
    return found if isinstance(found, dict) else {}


def _check(name: str, array: np.ndarray, source: str) -> None:
    if array.dtype != np.float32 or array.ndim != (1 if name == CENTRE else 2):
        raise _poisoned(source, f"{name} is {array.dtype} of shape {array.shape}")
    if not array.size or max(array.shape) > _MAX_DIMENSIONS:
        raise _poisoned(source, f"{name} has shape {array.shape}")
    if not np.isfinite(array).all():
        raise _poisoned(source, f"{name} holds NaN or infinite values")
    if np.abs(array).max() > _MAX_VALUE:
        raise _poisoned(source, f"{name} holds values up to {np.abs(array).max():.3g}")
    if name == CENTRE and abs(float(np.linalg.norm(array)) - 1) > _UNIT_TOLERANCE:
        raise _poisoned(source, f"{name} is no unit vector")


def _poisoned(source: str, what: str) -> CorpusError:
    return CorpusError(f"{source}: {what}", _FIX)
