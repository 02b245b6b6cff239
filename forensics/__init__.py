"""forensics: makes forged media, learns from it, and tells forged media from real.

The public API, loaded when first used:

    forensics.detect(["call.wav"])                      → list of `Verdict`
    forensics.enrol("Anna", "photos/")                  → a person to ask for:
    forensics.detect(["a.jpg"], identity=["Anna"])
    forensics.load_detector("speech-default")           → a detector to keep
    forensics.build_dataset("audeter", "speech/", "corpus/", workers=2)
    forensics.shards.open("corpus/", split="train")     → samples for a training script
    forensics.audit("corpus/")                          → what leaks the labels
    forensics.evaluate(shards="corpus/")                → how well a detector does, with intervals
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from forensics import shards as shards
    from forensics.auditing.run import audit as audit
    from forensics.corpus.build import build_dataset as build_dataset
    from forensics.evaluation.run import evaluate as evaluate
    from forensics.identity.enrol import enrol as enrol
    from forensics.verdict.detect import detect as detect
    from forensics.verdict.detect import detect_iter as detect_iter
    from forensics.verdict.loading import load_detector as load_detector
    from forensics.verdict.schema import Verdict as Verdict

_API = {
    "audit": "forensics.auditing.run:audit",
    "build_dataset": "forensics.corpus.build:build_dataset",
    "detect": "forensics.verdict.detect:detect",
    "detect_iter": "forensics.verdict.detect:detect_iter",
    "enrol": "forensics.identity.enrol:enrol",
    "evaluate": "forensics.evaluation.run:evaluate",
    "load_detector": "forensics.verdict.loading:load_detector",
    "shards": "forensics.shards",
    "Verdict": "forensics.verdict.schema:Verdict",
}

__all__ = [
    "Verdict",
    "audit",
    "build_dataset",
    "detect",
    "detect_iter",
    "enrol",
    "evaluate",
    "load_detector",
    "shards",
]


def __getattr__(name: str) -> Any:
    if name not in _API:
        raise AttributeError(f"module 'forensics' has no attribute {name!r}")
    module, _, attribute = _API[name].partition(":")
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_API])
