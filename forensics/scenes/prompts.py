"""`prompts.yaml`, read once."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

import yaml


@cache
def prompts() -> dict[str, Any]:
    text = files("forensics.scenes").joinpath("prompts.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
