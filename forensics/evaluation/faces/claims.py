"""What the pictures of a corpus of faces claim, as their metadata says."""

from __future__ import annotations

from dataclasses import dataclass

from forensics.evaluation.material import PathLike
from forensics.shards import storage
from forensics.shards.reader import read_sidecar

REAL, LOOKALIKE, ENROL = "real", "lookalike", "enrol"


@dataclass(frozen=True)
class Claim:
    """One picture.

    Attributes:
        claimed: whom it claims to show.
        role: `real` is a photo of just that person, `lookalike` of somebody similar; all others
            are ways to forge.
        use: `enrol` for photos that are known of a person beforehand, else `probe`.
    """

    claimed: str
    role: str
    use: str


def claims_of(shards: PathLike | None) -> dict[str, Claim]:
    """Item key → claim; empty where a corpus makes none.

    Raises:
        CorpusError: a sidecar that is damaged.
    """
    if shards is None:
        return {}
    folder = storage.join(str(shards), "shards")
    listed = storage.names(folder)
    found = {}
    for name in (one.removesuffix(".tar") for one in listed if one.endswith(".tar")):
        if f"{name}.json" not in listed:
            continue
        for key, meta in read_sidecar(folder, name).items.items():
            claimed, role = meta.params.get("claimed"), meta.params.get("role")
            if isinstance(claimed, str) and isinstance(role, str):
                use = str(meta.params.get("use") or "probe")
                found[key] = Claim(claimed, role, use)
    return found
