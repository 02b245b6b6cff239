"""A vision-language model whose answers are worked by hand from the pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from forensics.networks.vlm.card import VlmCard

YELLOW = (240, 240, 10)


class Scripted:
    """Yes to a look while no red is seen, to a scene while no cyan is, to whether a photo is real
    while no yellow is; says what it is told.

    Attributes:
        asked: (image, question) of every score; calls: how often `score` was called.
        loaded: the identities that were added.
    """

    device = "cpu"

    def __init__(self, says: str = "The hair is even.", fingerprint: str = "tiny 1"):
        self.says, self._fingerprint = says, fingerprint
        self.asked: list = []
        self.explained: list = []
        self.calls = 0
        self.loaded: list = []
        self.card = VlmCard(base="scripted", base_sha256="0" * 16, prompts=1)

    def fingerprint(self) -> str:
        return self._fingerprint

    def add_identities(self, identities) -> None:
        self.loaded = list(identities)

    def score(self, images: Sequence[np.ndarray], questions) -> np.ndarray:
        self.calls += 1
        self.asked += list(zip(images, questions, strict=True))
        return np.array([self._one(i, q) for i, q in zip(images, questions, strict=True)])

    def explain(self, image, question, answer_is_yes: bool, max_tokens: int = 96) -> str:
        self.explained.append((question, answer_is_yes))
        return self.says

    def _one(self, image: np.ndarray, question) -> np.float32:
        assert question.kind == "real" or question.identity in {one.name for one in self.loaded}
        wrong = {"appearance": (240, 10, 10), "behaviour": (10, 240, 240), "real": YELLOW}
        seen = float((image == wrong[question.kind]).all(axis=2).mean())
        return np.float32(3.0 - 400.0 * seen)
