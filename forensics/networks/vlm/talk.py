"""Prompts as token ids: words of `prompts.yaml`, images and the tokens of an identity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from forensics.errors import UsageError
from forensics.networks.vlm.prompts import prompts
from forensics.networks.vlm.rows import MAX_SOFT, SIDES, token_names

_YES, _NO = ("yes", "Yes", "YES"), ("no", "No", "NO")
_SPACES = ("", "▁", "Ġ")  # how vocabularies write a space before a word


@dataclass(frozen=True, eq=False)
class Talk:
    """One user's turn and how the answer begins.

    Attributes:
        text: the turn, of `prompts.yaml`'s words; token names stand for the identity's rows.
        pictures: uint8 (H, W, 3) RGB each, before the words.
        identity: whose rows.
        answer: how the answer begins, or all of it.
        verdict: where in `answer` the word yes or no begins; then the answer is whole, and its end
            is part of what is learned. -1: there is no such word; None: the answer is not whole.
    """

    text: str
    pictures: tuple[np.ndarray, ...] = ()
    identity: str | None = None
    answer: str = ""
    verdict: int | None = None


class Wording:
    """A processor's tokenizer that knows the names of identity tokens.

    The names are added to the tokenizer in memory, so that words around them are cut as they would
    be around any other special token; their ids are then replaced by those of an identity's rows.
    """

    def __init__(self, processor: Any):
        self.processor, self.tokenizer = processor, processor.tokenizer
        if not getattr(self.tokenizer, "is_fast", False):
            raise UsageError("the model's tokenizer is of the slow kind", "name a newer model")
        known = len(self.tokenizer)
        vocabulary = self.tokenizer.get_vocab()
        self.yes, self.no = (self._variants(words, vocabulary) for words in (_YES, _NO))
        if not (self.yes and self.no) or set(self.yes) & set(self.no):
            raise UsageError("the tokenizer does not tell yes from no", "name another model")
        names = list(dict.fromkeys(token_names(SIDES, MAX_SOFT)))
        self.tokenizer.add_tokens(names, special_tokens=True)
        self._named = {self.tokenizer.convert_tokens_to_ids(name): name for name in names}
        assert min(self._named) >= known

    def prompt(self, talk: Talk) -> str:
        """The turn as the model's chat template writes it, up to where its answer begins."""
        images = len(talk.pictures)
        token = getattr(self.processor, "image_token", "<image>")
        if getattr(self.processor, "chat_template", None):
            content = [
                *({"type": "image"} for _ in range(images)),
                {"type": "text", "text": talk.text},
            ]
            return self.processor.apply_chat_template(
                [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
            )
        return prompts()["plain_chat"].format(images=token * images, text=talk.text)

    def ids(self, words: str, tokens: Mapping[str, int], *, begins: bool) -> list[int]:
        """Words → ids.

        Args:
            tokens: ids of the identity's token names.
            begins: nothing stands before these words.

        Raises:
            UsageError: a token name that the identity has no row for.
        """
        first = self.tokenizer.bos_token
        begins = begins and not (first and words.startswith(first))  # some templates write it
        found = self.tokenizer(words, add_special_tokens=begins)["input_ids"]
        return [tokens[self._known(i, tokens)] if i in self._named else i for i in found]

    def token_at(self, words: str, place: int) -> int:
        """Which of a text's tokens the character at `place` is in."""
        found = self.tokenizer(words, add_special_tokens=False, return_offsets_mapping=True)
        ends = [end for _, end in found["offset_mapping"]]
        return next(i for i, end in enumerate(ends) if end > place)

    def text(self, ids: list[int], tokens: Mapping[str, int], name: str) -> str:
        """Ids that were generated → words; identity tokens read as the person's name."""
        own = set(tokens.values())
        parts: list[str] = []
        run: list[int] = []
        for one in [*ids, -1]:
            if one >= 0 and one not in own:
                run.append(one)
                continue
            parts.append(self.tokenizer.decode(run, skip_special_tokens=True))
            parts += [name] if one >= 0 else []
            run = []
        return " ".join(" ".join(parts).split())

    @property
    def end(self) -> int | None:
        return self.tokenizer.eos_token_id

    def _known(self, one: int, tokens: Mapping[str, int]) -> str:
        name = self._named[one]
        if name not in tokens:
            raise UsageError(f"a prompt speaks of {name}, which the identity lacks")
        return name

    def _variants(self, words: tuple[str, ...], vocabulary: Mapping[str, int]) -> list[int]:
        """Ids that say a word; where none says it whole, of what it begins with."""
        whole = {space + word for word in words for space in _SPACES} & set(vocabulary)
        if whole:
            return sorted(vocabulary[word] for word in whole)
        coded = (self.tokenizer(w, add_special_tokens=False)["input_ids"] for w in words)
        return sorted({ids[0] for ids in coded if ids} - {self.tokenizer.unk_token_id})
