"""The card of a corpus: what it holds, what it may be used for, how its labels and splits read.

Each folder of `datasets/` has a README.md for people and a dataset.yaml of this schema.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from forensics import resources
from forensics.errors import UsageError

Holds = Literal["bonafide", "spoof", "both"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reading(_Strict):
    """Where a property of an item is written, and what its values mean.

    Attributes:
        where: a column, a part of the path, or a constant, in words.
        values: our name → the names that the corpus uses for it; empty when taken as they are.
    """

    where: str = Field(min_length=1)
    values: dict[str, tuple[str, ...]] = {}


class Readings(_Strict):
    """How items are found and read.

    Attributes:
        index: the file or folders that list the items.
        label: bona fide or spoof.
        split: train, dev or test, where the corpus has splits.
        group: what a split never crosses: the speaker, the scene, the source picture.
        system: who forged.
        mask: where the manipulated pixels of a picture are marked.
    """

    index: str = Field(min_length=1)
    label: Reading
    split: Reading | None = None
    group: Reading | None = None
    system: Reading | None = None
    mask: Reading | None = None

    @model_validator(mode="after")
    def _known_values(self) -> Readings:
        allowed = {"label": {"bonafide", "spoof"}, "split": {"train", "dev", "test"}}
        for field, names in allowed.items():
            reading: Reading | None = getattr(self, field)
            wrong = set(reading.values) - names if reading else set()
            if wrong:
                raise ValueError(f"{field} has values {sorted(wrong)}, allowed are {sorted(names)}")
        return self


class CorpusSystem(_Strict):
    """A synthesis system of the corpus and the generator here that stands for it.

    Attributes:
        name: as the corpus writes it.
        generator: the name in `forensics list generators`.
        runs: `here` through packages that we depend on or offer as an extra; `elsewhere` as a
            program of an environment that the user makes.
        needs: weights, packages and clones, in words.
        proof: what was tested, and what was not.
    """

    name: str
    kind: Literal["tts", "vocoder", "codec", "vc"]
    generator: str
    runs: Literal["here", "elsewhere"]
    needs: str
    proof: str


class DatasetCard(_Strict):
    """One corpus or benchmark.

    Attributes:
        name: that of its folder.
        holds: whether it has bona fide media, spoofed media or both.
        get: where it is got from; nothing is ever downloaded for the user.
        languages, audio: of speech: what is spoken, and in which form.
        images, masks: of images: formats and sizes, and what the masks mark.
        overlaps: other corpora that share its recordings: never train on one and test on the other.
        unverified: fields or facts that are from memory or second hand, not checked at the source.
    """

    name: str = Field(pattern=r"^[a-z0-9_]+$")
    title: str
    modality: Literal["speech", "image", "video"]
    holds: Holds
    homepage: str = Field(pattern=r"^https://")
    paper: str | None = None
    licence: str
    get: tuple[str, ...] = Field(min_length=1)
    languages: tuple[str, ...] = ()
    audio: str | None = None
    images: str | None = None
    masks: str | None = None
    reads: Readings
    overlaps: tuple[str, ...] = ()
    unverified: tuple[str, ...] = ()
    systems: tuple[CorpusSystem, ...] = ()

    @model_validator(mode="after")
    def _described(self) -> DatasetCard:
        wanted = {"speech": ("languages", "audio"), "image": ("images", "masks")}
        missing = [f for f in wanted.get(self.modality, ()) if not getattr(self, f)]
        if missing:
            raise ValueError(f"{self.modality} needs {' and '.join(missing)}")
        return self


def load_card(name: str) -> DatasetCard:
    """The card of a shipped dataset by name.

    Raises:
        UsageError: there is no such dataset, or its dataset.yaml is not a card.
    """
    return read_card(resources.find("datasets", name).with_name("dataset.yaml"))


def read_card(path: Path) -> DatasetCard:
    """A dataset.yaml.

    Raises:
        UsageError: it is missing, not YAML, or a field is wrong; all such fields are named.
    """
    try:
        return DatasetCard.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UsageError(f"{path}: no dataset card ({error})", "add a dataset.yaml") from error
    except yaml.YAMLError as error:
        raise UsageError(f"{path} is not YAML: {error}", "mend the file") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{path} is not a dataset card: {faults}", "mend those fields") from error
