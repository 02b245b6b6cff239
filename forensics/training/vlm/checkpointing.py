"""Activations computed twice instead of kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from forensics.networks.vlm.face_vlm import FaceVlm


@contextmanager
def checkpointing(vlm: FaceVlm, wanted: bool) -> Iterator[None]:
    if not wanted:
        yield
        return
    # Models recompute in training mode alone; those of these families have no dropout to switch on.
    vlm.network.gradient_checkpointing_enable({"use_reentrant": False})
    vlm.network.train()
    try:
        yield
    finally:
        vlm.network.eval()
        vlm.network.gradient_checkpointing_disable()
