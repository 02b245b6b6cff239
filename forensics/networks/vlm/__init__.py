"""Vision-language models that are asked about faces: identity tokens, a detection adapter, scores.

Method: "Identity-Aware Vision-Language Model for Explainable Face Forgery Detection"
(arXiv 2504.09439), with a score where the paper searches for words.
"""

from __future__ import annotations

from forensics.networks.vlm.prompts import Question
from forensics.networks.vlm.rows import IdentityRows

__all__ = ["IdentityRows", "Question"]
