"""Registers classes by name: a decorator for ours, entry points for third parties.

Modules that register must be cheap to import: heavy packages are imported where they are used.
"""

from __future__ import annotations

import difflib
import importlib
import logging
import pkgutil
from importlib.metadata import entry_points
from typing import Generic, TypeVar

from forensics.errors import UsageError

T = TypeVar("T")
C = TypeVar("C", bound=type)
log = logging.getLogger(__name__)


class Registry(Generic[T]):
    """Names → classes of one sort.

    Args:
        sort: what one entry is called in messages ("generator").
        package: our own package whose modules register themselves when imported.
        group: the entry-point group through which other packages add theirs.
    """

    def __init__(self, sort: str, package: str, group: str):
        self.sort, self.package, self.group = sort, package, group
        self._classes: dict[str, type[T]] = {}
        self._loaded = False

    def register(self, cls: C) -> C:
        """Class decorator; the class attribute `name` is the key."""
        name: str = cls.name  # pyright: ignore[reportAttributeAccessIssue]
        if name in self._classes:
            raise ValueError(f"two {self.sort}s are named {name!r}")
        self._classes[name] = cls  # pyright: ignore[reportArgumentType]
        return cls

    def names(self) -> list[str]:
        self._load()
        return sorted(self._classes)

    def get(self, name: str) -> type[T]:
        """The class of that name.

        Raises:
            UsageError: no such name; the message offers the nearest ones.
        """
        self._load()
        if name not in self._classes:
            near = difflib.get_close_matches(name, self._classes, n=3)
            hint = f"did you mean {' or '.join(near)}" if near else f"there are: {self.names()}"
            raise UsageError(f"there is no {self.sort} {name!r}", hint)
        return self._classes[name]

    def _load(self) -> None:
        if self._loaded:
            return
        self._loaded = True
        root = importlib.import_module(self.package)
        for module in pkgutil.walk_packages(root.__path__, f"{self.package}."):
            importlib.import_module(module.name)
        for entry in entry_points(group=self.group):
            try:  # another package's broken import must not take the command line down
                self.register(entry.load())
            except Exception as error:
                log.warning("%s plugin %r cannot be used: %s", self.sort, entry.name, error)
