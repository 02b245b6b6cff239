"""Reads the YAML of `configs/`: what shapes a training, validated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from forensics import resources
from forensics.errors import UsageError

C = TypeVar("C", bound=BaseModel)


def read_settings(name: str, changes: Sequence[str] = ()) -> dict[str, Any]:
    """A shipped config by name, or a YAML file, with changes.

    Args:
        changes: `path.to.field=VALUE` each, the value as YAML; fields that are not there are added.

    Raises:
        UsageError: no such config, not YAML, or a change that cannot be made.
    """
    path = resources.find("configs", name)
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is not YAML: {error}", "mend the file") from error
    if not isinstance(settings, dict):
        raise UsageError(f"{path} holds no fields", "begin with task: detector")
    return changed(_unshared(settings), changes)


def _unshared(value: Any) -> Any:
    """A YAML alias is the same object wherever it stands; a change shall be made in one place."""
    if isinstance(value, dict):
        return {key: _unshared(inner) for key, inner in value.items()}
    return [_unshared(inner) for inner in value] if isinstance(value, list) else value


def changed(settings: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """The settings with `path.to.field=VALUE` each, changed in place.

    Raises:
        UsageError: a change that cannot be made.
    """
    for change in changes:
        _change(settings, change)
    return settings


def checked(kind: type[C], settings: dict[str, Any], name: str) -> C:
    """The settings as a config.

    Args:
        name: of the config, for messages.

    Raises:
        UsageError: fields that are wrong; all are named.
    """
    try:
        return kind.model_validate(settings)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()
        )
        known = ", ".join(kind.model_fields)
        raise UsageError(f"{name}: {problems}", f"fields: {known}") from error


def _change(settings: dict[str, Any], change: str) -> None:
    path, equals, text = change.partition("=")
    if not equals or not all(names := path.strip().split(".")):
        raise UsageError(f"--set {change!r} is no FIELD=VALUE", "write for example fit.steps=500")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {change!r}: the value is not YAML", "quote it") from error
    inner: Any = settings
    for name in names[:-1]:
        if inner.get(name) is None:  # a section that is switched off may be switched on
            inner[name] = {}
        inner = inner[name]
        if not isinstance(inner, dict):
            raise UsageError(f"--set {change!r}: {name!r} holds no fields", "name another field")
    inner[names[-1]] = value
