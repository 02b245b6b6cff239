"""What a modality brings to the machinery of this folder, and where each one lives."""

from __future__ import annotations

import importlib
import os
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic_core import from_json

from forensics.corpus.item import Source
from forensics.corpus.plan import Plan
from forensics.corpus.recipe import Recipe
from forensics.errors import CorpusError
from forensics.shards import storage

if TYPE_CHECKING:
    from forensics.corpus.shard_job import ShardRun

MODALITIES = {
    "speech": "forensics.corpus.speech",
    "image": "forensics.corpus.images",
    "face": "forensics.corpus.faces",
}
_MAX_PLAN_BYTES = 1 << 32


class Modality(ABC):
    """One modality: what its recipes, plans, sources and shard jobs are.

    Attributes:
        example: a shipped pipeline of it, for messages.
        unit: what its amounts are counted in beside items: "hours", "megapixels".
    """

    recipe: ClassVar[type[Recipe]]
    plan: ClassVar[type[Plan[Any, Any, Any]]]
    shard_run: ClassVar[type[ShardRun[Any, Any]]]
    example: ClassVar[str]
    unit: ClassVar[str]

    @abstractmethod
    def load_source(
        self, path: str | os.PathLike[str], where: dict[str, str] | None, recipe: Any
    ) -> Source[Any]:
        """Read a folder, a CSV, shards.

        Raises:
            UsageError: nothing there that can be used, or listed in a way that is not clear.
            CorpusError: a shard that is damaged or hostile.
        """

    @abstractmethod
    def make_plan(self, recipe: Any, folder: Path, source: Source[Any]) -> Plan[Any, Any, Any]:
        """Expand; `folder` is where the recipe lies.

        Raises:
            UsageError: wrong parameters, or a source whose groups cross its own splits.
            MissingRequirement: a channel condition lacks something.
        """

    @abstractmethod
    def amount(self, plan: Any, planned: Any) -> float:
        """What one item of this family comes to, in `unit`; an estimate."""

    @abstractmethod
    def bytes(self, plan: Any, amount: float, items: int) -> int:
        """What so much takes on the disk; an estimate."""

    @abstractmethod
    def warnings(self, plan: Any) -> list[str]:
        """What a user should know before such a plan is built."""


def modality_of(name: str) -> Modality:
    """The modality of that name, one of `MODALITIES`."""
    return importlib.import_module(f"{MODALITIES[name]}.modality").MODALITY


def read_plan(url: str) -> Plan[Any, Any, Any]:
    """The plan that a corpus was begun with.

    Raises:
        CorpusError: it cannot be read as one.
    """
    try:
        content = from_json(storage.read(url, _MAX_PLAN_BYTES))
        plan = modality_of(content["recipe"]["modality"]).plan.model_validate(content)
    except (ValueError, KeyError, TypeError) as error:
        raise CorpusError(f"{url} is not a plan", "build into another folder") from error
    if plan.digest() != plan.hash:
        raise CorpusError(f"{url} was changed after it was written", "build into another folder")
    return plan
