"""Trivial features: what a detector must not be able to live on. The parts that no modality owns.

A feature set holds the families of one modality. Feature names are `<family>.<feature>`; a feature
that an item does not have is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Value = float | str


@dataclass(frozen=True)
class Family:
    """Features judged together.

    Attributes:
        slack: added to the limit, because a forgery may honestly differ there a little; None:
            reported, not judged, because it may differ a lot.
        remedy: what to change, naming the setting of our recipes.
    """

    name: str
    what: str
    slack: float | None
    remedy: str


@dataclass(frozen=True)
class ItemFacts:
    """What is known of an item besides its media and its label.

    Attributes:
        position: the item's place in its shard in [0, 1]; None for loose files.
        fields: metadata that may not depend on the label, such as the language.
        conditions: what the channel drew, in order; see `forensics.conditions`.
    """

    name: str
    extension: str
    position: float | None
    fields: Mapping[str, str]
    conditions: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class FeatureSet:
    """The families of one modality and the function that measures them.

    `extract(media, facts)` raises `MediaError` when the media cannot be read. `masks` are families
    of guesses about masks, see `mask_prior`; their figures are pixel AUCs.
    """

    families: tuple[Family, ...]
    extract: Callable[[bytes, ItemFacts], dict[str, Value]]
    masks: tuple[Family, ...] = ()


def facts_features(facts: ItemFacts) -> dict[str, Value]:
    """The families of `EVERY_ITEM`."""
    return _name(facts) | _metadata(facts)


def _name(facts: ItemFacts) -> dict[str, Value]:
    """Length, character classes and how often each character occurs; the place in the shard."""
    text = facts.name.lower()
    found: dict[str, Value] = {
        "name.length": float(len(text)),
        "name.digits": float(sum(c.isdigit() for c in text)),
        "name.letters": float(sum(c.isalpha() for c in text)),
    }
    for character in "abcdefghijklmnopqrstuvwxyz0123456789_-. ":
        found[f"name.count_{character}"] = float(text.count(character))
    if facts.position is not None:
        found["name.position"] = round(facts.position, 3)
    return found


def _metadata(facts: ItemFacts) -> dict[str, Value]:
    """The item's fields, and what the channel drew for it."""
    found: dict[str, Value] = {f"metadata.{k}": v for k, v in facts.fields.items()}
    for place, drawn in enumerate(facts.conditions):
        channel = drawn.get("use", place)
        found[f"metadata.has_{channel}"] = 1.0
        for key, value in drawn.items():
            if isinstance(value, int | float):
                found[f"metadata.{channel}.{key}"] = float(value)
            elif isinstance(value, str):
                found[f"metadata.{channel}.{key}"] = value
    found["metadata.conditions"] = float(len(facts.conditions))
    return found


EVERY_ITEM = (
    Family(
        "name",
        "key or file name, place in the shard",
        0.0,
        "name items by hashes and mix the labels in every shard, as build-dataset does",
    ),
    Family(
        "metadata",
        "language, domain, fields present, channel conditions drawn",
        0.0,
        "draw conditions without regard to the label (conditions); give every language and "
        "domain items of both labels",
    ),
)
