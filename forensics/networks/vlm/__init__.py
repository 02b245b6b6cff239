"""Vision-language models that are asked about faces: identity tokens, a detection adapter, scores.

Method: "Identity-Aware Vision-Language Model for Explainable Face Forgery Detection"
(arXiv 2504.09439), with a score where the paper searches for words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from forensics.networks.vlm.prompts import Question
from forensics.networks.vlm.rows import IdentityRows

if TYPE_CHECKING:
    from forensics.networks.vlm.face_vlm import FaceVlm
    from forensics.networks.vlm.loading import open_vlm

__all__ = ["FaceVlm", "IdentityRows", "Question", "open_vlm"]


def __getattr__(name: str) -> Any:
    """What imports torch comes in when it is asked for."""
    if name == "FaceVlm":
        from forensics.networks.vlm.face_vlm import FaceVlm

        return FaceVlm
    if name == "open_vlm":
        from forensics.networks.vlm.loading import open_vlm

        return open_vlm
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
