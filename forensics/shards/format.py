"""What a shard holds: keys, an item's metadata, a shard's sidecar.

A shard is an ordinary WebDataset tar: `<key>.<wav|flac|jpg|png>` beside `<key>.json`, and
`<key>.mask.png` for images. The sidecar `<shard>.json` lies beside the tar, is written last, and is
the only proof that the shard is complete.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from forensics.labels import ItemLabel

FORMAT_VERSION = 1
KEY = re.compile(r"[a-z0-9_-]+")
MAX_KEY_LENGTH = 90  # `<key>.mask.png` fits the 100 bytes of a ustar name
MAX_JSON_BYTES = 1 << 20  # of one item's metadata
MEDIA_EXTENSIONS = ("wav", "flac", "jpg", "png")

Split = Literal["train", "dev", "test"]


class _Strict(BaseModel):
    # "constants": pydantic would otherwise write NaN as null, and nobody would notice.
    model_config = ConfigDict(
        extra="forbid", frozen=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )


class ItemMeta(_Strict):
    """The JSON of one item.

    Attributes:
        system: who made it: a system's name in the recipe, or "bonafide".
        kind: tts, vocoder, codec, vc, copymove, splice, …; "bonafide" for real media.
        source_id: the source utterance or frame that this item is a copy or reading of.
        group: what a split never crosses: speaker, camera, identity.
        parent: SHA-256 of the source file's bytes.
        sha256: of the media bytes in this shard.
        params: what the generator drew; conditions: what the channel drew, in order.
    """

    label: ItemLabel
    modality: Literal["speech", "image", "video"]
    system: str
    system_version: str
    kind: str
    source_id: str
    group: str
    domain: str
    split: Split
    seed: int
    params: dict[str, Any] = {}
    conditions: tuple[dict[str, Any], ...] = ()
    licence: str
    parent: str
    sha256: str
    language: str | None = None
    text: str | None = None
    duration_s: float | None = None
    sampling_rate: int | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Item:
    """One sample as it is written and read: media bytes, metadata, an optional mask (PNG bytes)."""

    key: str
    extension: str
    media: bytes
    meta: ItemMeta
    mask: bytes | None = None


class Failure(_Strict):
    """One planned item that could not be made; the reason is the same on every run."""

    key: str
    source_id: str
    system: str
    reason: str


class Sidecar(_Strict):
    """Proof of a complete shard.

    `items` holds the metadata by key, in the order of the tar; `masks` the SHA-256 of the masks.
    """

    format: int = FORMAT_VERSION
    shard: str
    split: Split
    plan: str
    count: int
    bytes: int
    sha256: str
    items: dict[str, ItemMeta] = Field(default_factory=dict)
    masks: dict[str, str] = Field(default_factory=dict)
    failures: tuple[Failure, ...] = ()


def canonical_json(value: Any) -> bytes:
    """One spelling for one value: sorted keys, no spaces, UTF-8, no NaN."""
    if isinstance(value, BaseModel):
        value = value.model_dump(mode="json", exclude_none=True)
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode()


def parse_json(data: bytes) -> Any:
    """Read JSON that nobody vouches for.

    Raises:
        ValueError: not UTF-8, not JSON, nested too deep, a name twice in one object, or a number
            that is not finite (NaN, Infinity, 1e999).
    """
    try:
        return json.loads(
            data.decode(),
            parse_constant=_refuse_constant,
            parse_float=_finite,
            object_pairs_hook=_unique,
        )
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a finite number")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found
