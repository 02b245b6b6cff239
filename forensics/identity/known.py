"""What is known of the embedders of this package, as benchmarks/face_gate.py measures it."""

from __future__ import annotations

from forensics.identity.gate import General

# Locator and embedder, without the hash of the cascade's file.
_LBP = ("cascade-1-5-640-0.15-", "+lbp-1-1.2.4-6")
_OF_LBP = General(
    own_mean=0.912,
    other_mean=0.822,
    spread=0.030,
    origin="486 photos of 50 people (40 of ORL, 10 of LFW)",
)


def general_of(fingerprint: str) -> General | None:
    """By the fingerprint of `FaceTools`; None where nothing was measured."""
    start, end = _LBP
    return _OF_LBP if fingerprint.startswith(start) and fingerprint.endswith(end) else None
