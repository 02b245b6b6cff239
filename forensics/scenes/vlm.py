"""Any chat model of `transformers` that sees: asked for words, or for a yes or a no."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from pydantic import Field

from forensics.errors import UsageError
from forensics.requirements import Requirement, SafetensorsModel
from forensics.scenes.pretrained import Placed, load_pretrained, weights_digest

_YES = ("yes", "Yes", " yes", " Yes", "YES")
_NO = ("no", "No", " no", " No", "NO")


class VlmConfig(Placed):
    """A chat model that sees.

    Attributes:
        model: a local folder, or a hub id that is in the local cache.
        max_new_tokens: longest answer.
        temperature: 0 takes the likeliest token; above it tokens are drawn, from the item's seed.
        image_side: pictures are reduced to this long side, in pixels, before the model sees them.
    """

    model: str
    max_new_tokens: int = Field(default=512, ge=1, le=8192)
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    image_side: int = Field(default=1024, ge=32)

    def requirements(self) -> tuple[Requirement, ...]:
        return (SafetensorsModel(self.model, example="HuggingFaceTB/SmolVLM2-2.2B-Instruct"),)

    def fingerprint(self) -> str:
        return weights_digest(self.model)


@dataclass(frozen=True)
class Turn:
    """One message: pictures, uint8 (H, W, 3) RGB each, then words."""

    role: Literal["user", "assistant"]
    text: str
    pictures: tuple[np.ndarray, ...] = ()


class Vlm:
    """Loads on first use."""

    def __init__(self, config: VlmConfig):
        self.config = config

    def answer(self, turns: list[Turn], seed: int) -> str:
        """The model's next message.

        Args:
            turns: the talk so far; roles alternate and the last is the user's.
            seed: of the drawn tokens.
        """
        import torch

        network, processor = self._loaded
        inputs = self._inputs(turns)
        warm = self.config.temperature > 0
        drawing = {"do_sample": True, "temperature": self.config.temperature} if warm else {}
        place = torch.device(self.config.device)
        devices = [place] if place.type == "cuda" else []
        with torch.inference_mode(), torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            made = network.generate(
                **inputs,
                max_new_tokens=self.config.max_new_tokens,
                **({"do_sample": False} | drawing),
            )
        new = made[0, inputs["input_ids"].shape[1] :]
        return processor.tokenizer.decode(new, skip_special_tokens=True)

    def yes(self, turns: list[Turn]) -> float:
        """Probability 0..1 that the answer starts with a yes, among yes and no.

        Raises:
            UsageError: the tokenizer does not tell yes from no.
        """
        import torch

        network, _ = self._loaded
        agree, refuse = self._yes_and_no
        with torch.inference_mode():
            logits = network(**self._inputs(turns)).logits[0, -1].float()
        gap = torch.logsumexp(logits[agree], 0) - torch.logsumexp(logits[refuse], 0)
        return float(torch.sigmoid(gap))

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        network, processor = load_pretrained(
            "AutoModelForImageTextToText", self.config.model, self.config
        )
        if not getattr(processor, "chat_template", None):
            raise UsageError(f"{self.config.model} has no chat template", "name a chat model")
        return network, processor

    @cached_property
    def _yes_and_no(self) -> tuple[list[int], list[int]]:
        agree, refuse = (self._first_tokens(words) for words in (_YES, _NO))
        if not (agree - refuse and refuse - agree):
            raise UsageError(
                f"the tokenizer of {self.config.model} does not tell yes from no",
                "name another model",
            )
        return sorted(agree - refuse), sorted(refuse - agree)

    def _first_tokens(self, words: tuple[str, ...]) -> set[int]:
        """Of words that are one token each; where none is, of all of them the first token."""
        tokenizer = self._loaded[1].tokenizer
        coded = [tokenizer.encode(word, add_special_tokens=False) for word in words]
        known = [ids for ids in coded if ids and tokenizer.unk_token_id not in ids]
        return {ids[0] for ids in known if len(ids) == 1} or {ids[0] for ids in known}

    def _inputs(self, turns: list[Turn]) -> Any:
        network, processor = self._loaded
        talk = [
            {"role": turn.role, "content": [*map(self._picture, turn.pictures), _text(turn.text)]}
            for turn in turns
        ]
        inputs = processor.apply_chat_template(
            talk,
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        return inputs.to(self.config.device, dtype=network.dtype)

    def _picture(self, pixels: np.ndarray) -> dict[str, Any]:
        from PIL import Image

        picture = Image.fromarray(pixels)
        picture.thumbnail((self.config.image_side, self.config.image_side))
        return {"type": "image", "image": picture}


def _text(words: str) -> dict[str, Any]:
    return {"type": "text", "text": words}
