"""A frozen vision-language model that answers questions about faces with a number."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from forensics.errors import UsageError
from forensics.networks.vlm.adapter import AdapterConfig, DetectionAdapter
from forensics.networks.vlm.card import VlmCard
from forensics.networks.vlm.families import Family, Seen
from forensics.networks.vlm.identity_tokens import IdentityTokens
from forensics.networks.vlm.prompts import Form, Question, prompts, question_text
from forensics.networks.vlm.rows import IdentityRows
from forensics.networks.vlm.talk import Talk, Wording


@dataclass(frozen=True, eq=False)
class Read:
    """One talk as the language model gets it.

    Attributes:
        embedded: (L, d).
        is_image: bool (L,).
        ids: int64 (L,), -1 where an image is.
        answer: where the answer begins.
        verdict: where the word yes or no is, in an answer that has one.
        grids: of the images.
        identity: whose tokens it may hold.
    """

    embedded: Tensor
    is_image: Tensor
    ids: Tensor
    answer: int
    verdict: int | None
    grids: tuple[Tensor, ...]
    identity: str | None


@dataclass(frozen=True, eq=False)
class Batch:
    """Talks, padded on the left."""

    embedded: Tensor
    mask: Tensor
    positions: Tensor


class FaceVlm:
    """Scores and explains. Made by `open_vlm`.

    Everything of the base is frozen; what can be trained are `identities` and `adapter`.

    Args:
        card: what it was opened from; the base is named there.

    Attributes:
        batch_size: talks that go through the language model at once.
    """

    def __init__(self, family: Family, card: VlmCard, batch_size: int = 8):
        self.family, self.card, self.batch_size = family, card, batch_size
        self.network = family.network.eval().requires_grad_(False)
        config = self.network.config
        self.wording = Wording(family.processor)
        tied = bool(getattr(config.get_text_config(), "tie_word_embeddings", False)) or bool(
            getattr(config, "tie_word_embeddings", False)
        )
        embedding = self.network.get_input_embeddings()
        self.identities = IdentityTokens(embedding, tied).to(embedding.weight.device)
        self.adapter: DetectionAdapter | None = None

    @property
    def device(self) -> torch.device:
        return self.network.get_input_embeddings().weight.device

    def fingerprint(self) -> str:
        """Of what scores and identity tokens depend on: base, adapter, LoRA, prompts."""
        known = f"{self.card.base_sha256} {self.card.tensors_sha256} {self.card.prompts}"
        return hashlib.sha256(known.encode()).hexdigest()[:16]

    def add_identities(self, identities: Sequence[IdentityRows]) -> None:
        """Load these, in place of what was loaded.

        Raises:
            UsageError: two of one name.
            CorpusError: tokens that are not of this model.
        """
        self.identities.load(identities)

    def add_adapter(self, config: AdapterConfig, seed: int = 0) -> DetectionAdapter:
        """Listen with an adapter that knows nothing yet, in place of the one there is."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made = DetectionAdapter(config, self.family.shallow_width, self.family.width)
        self.adapter = made.to(self.device)
        return self.adapter

    # What is asked.

    def score(self, images: Sequence[np.ndarray], questions: Sequence[Question]) -> np.ndarray:
        """Logit of yes minus logit of no, float32 (N,), where the answer must say one of them.

        The number depends on pixels, question and loaded tokens alone, and on nothing else in
        the batch. Images that are given several times are seen once.

        Args:
            images: uint8 (H, W, 3) RGB, one for each question.

        Raises:
            UsageError: counts that differ, or an identity that is not loaded.
        """
        if len(images) != len(questions):
            raise UsageError(f"{len(images)} images with {len(questions)} questions", "pair them")
        talks = [
            self.talk(question, image, "direct", prompts()["suffix"])
            for image, question in zip(images, questions, strict=True)
        ]
        return self.score_talks(talks)

    def score_talks(self, talks: Sequence[Talk]) -> np.ndarray:
        """As `score`, of talks whose answer stops where a yes or a no must come."""
        scores = np.zeros(len(talks), np.float32)
        with torch.inference_mode():
            for start in range(0, len(talks), self.batch_size):
                part = talks[start : start + self.batch_size]
                reads = self.read(part, self.see_all(part))
                hidden = self.hidden(reads)[0][:, -1:]
                gap = self.gap(self.network.lm_head(hidden)[:, -1])
                scores[start : start + len(part)] = gap.float().cpu().numpy()
        return scores

    def explain(
        self, image: np.ndarray, question: Question, answer_is_yes: bool, max_tokens: int = 96
    ) -> str:
        """Words for a verdict that is already there; it stands before them and they cannot move it.

        The likeliest words, so that the same question gets the same ones. May be empty.
        """
        verdict = "yes" if answer_is_yes else "no"
        told = prompts()["answers"]["explained"].format(verdict=verdict, reason="").strip()
        talk = self.talk(question, image, "explained", told)
        with torch.inference_mode():
            (read,) = self.read([talk], self.see_all([talk]))
            ids = self._continued(read, max_tokens)
        name = question.identity or ""
        return self.wording.text(ids, self._tokens(question.identity), name)

    def embed(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Unit vectors float32 (N, d): what the vision encoder tells the language model, on
        average over the image."""
        rows = []
        with torch.inference_mode():
            for start in range(0, len(images), self.batch_size):
                for seen in self.family.see(images[start : start + self.batch_size], None):
                    rows.append(F.normalize(seen.tokens.float().mean(dim=0), dim=0).cpu().numpy())
        return np.stack(rows) if rows else np.zeros((0, self.family.width), np.float32)

    # What asking is made of; training uses it too.

    def talk(
        self, question: Question, image: np.ndarray, form: Form = "direct", answer: str = ""
    ) -> Talk:
        sides = {} if question.identity is None else self._rows(question.identity).sides
        text = question_text(question, sides, form)
        return Talk(text, (image,), question.identity, answer)

    def see(self, images: Sequence[np.ndarray]) -> list[Seen]:
        """Without gradients; the adapter is not applied yet."""
        layer = None if self.adapter is None else self.adapter.config.layer
        with torch.no_grad():
            return [
                seen
                for start in range(0, len(images), self.batch_size)
                for seen in self.family.see(images[start : start + self.batch_size], layer)
            ]

    def see_all(self, talks: Sequence[Talk]) -> list[tuple[Seen, ...]]:
        """The pictures of each talk; the same pixels are seen once."""
        keys = [[_key(picture) for picture in talk.pictures] for talk in talks]
        distinct = {
            key: picture
            for names, talk in zip(keys, talks, strict=True)
            for key, picture in zip(names, talk.pictures, strict=True)
        }
        seen = dict(zip(distinct, self.see(list(distinct.values())), strict=True))
        return [tuple(seen[key] for key in names) for names in keys]

    def read(self, talks: Sequence[Talk], seen: Sequence[tuple[Seen, ...]]) -> list[Read]:
        """Talks as embeddings; gradients reach identity rows and the adapter."""
        return [self._read(talk, own) for talk, own in zip(talks, seen, strict=True)]

    def hidden(self, reads: Sequence[Read], **more: Any) -> tuple[Tensor, Batch, Any]:
        """Last hidden states (B, L, d), padded on the left; the batch; what the model returned."""
        batch = self._padded(reads)
        found = self.network.model(
            inputs_embeds=batch.embedded,
            attention_mask=batch.mask.long(),
            position_ids=batch.positions,
            **more,
        )
        return found.last_hidden_state, batch, found

    def gap(self, logits: Tensor) -> Tensor:
        """(..., V) → (...): log-sum-exp over the ways to say yes, minus that for no."""
        yes, no = (logits[..., ids].float() for ids in (self.wording.yes, self.wording.no))
        return torch.logsumexp(yes, -1) - torch.logsumexp(no, -1)

    def _read(self, talk: Talk, seen: tuple[Seen, ...]) -> Read:
        tokens = self._tokens(talk.identity)
        prompt = self.wording.prompt(talk)
        begun = self.wording.ids(prompt, tokens, begins=True)
        said = self.wording.ids(talk.answer, tokens, begins=False) if talk.answer else []
        if talk.verdict is not None and self.wording.end is not None:
            said.append(self.wording.end)
        whole = begun + said
        images = [i for i, one in enumerate(begun) if one == self.family.image_token]
        if len(images) != len(seen):
            raise UsageError(f"{len(seen)} images in a prompt that has places for {len(images)}")
        ids = torch.tensor(whole, device=self.device)
        words = self.identities.embed(ids)
        parts, is_image, spread, start = [], [], [], 0
        for place, one in zip([*images, len(whole)], [*seen, None], strict=True):
            parts.append(words[start:place])
            spread.append(ids[start:place])
            is_image.append(torch.zeros(place - start, dtype=torch.bool))
            if one is not None:
                own = self._joined(one).to(words.dtype)
                parts.append(own)
                spread.append(torch.full((len(own),), -1, device=self.device))
                is_image.append(torch.arange(len(own)) < len(one.tokens))
            start = place + 1
        embedded = torch.cat(parts)
        answer = len(embedded) - len(said)
        verdict = None
        if talk.verdict is not None and talk.verdict >= 0:
            verdict = answer + self.wording.token_at(talk.answer, talk.verdict)
        grids = tuple(one.grid for one in seen if one.grid is not None)
        marked = torch.cat(is_image).to(self.device)
        return Read(embedded, marked, torch.cat(spread), answer, verdict, grids, talk.identity)

    def _joined(self, seen: Seen) -> Tensor:
        """An image's tokens, the adapter's behind them."""
        if self.adapter is None:
            return seen.tokens
        assert seen.shallow is not None
        return torch.cat([seen.tokens, self.adapter(seen.shallow).to(seen.tokens.dtype)])

    def _padded(self, reads: Sequence[Read]) -> Batch:
        longest = max(len(read.embedded) for read in reads)
        embedded = torch.stack(
            [F.pad(read.embedded, (0, 0, longest - len(read.embedded), 0)) for read in reads]
        )
        is_image = torch.stack([F.pad(r.is_image, (longest - len(r.is_image), 0)) for r in reads])
        lengths = torch.tensor([len(read.embedded) for read in reads], device=self.device)
        mask = torch.arange(longest, device=self.device) >= longest - lengths[:, None]
        grids = [grid for read in reads for grid in read.grids]
        return Batch(embedded, mask, self.family.positions(is_image, mask, grids))

    def _continued(self, read: Read, most: int) -> list[int]:
        """The likeliest ids after a talk, one by one; soft tokens and images are not said."""
        hidden, batch, found = self.hidden([read], use_cache=True)
        cache, position = found.past_key_values, batch.positions.max()
        mask, ids = batch.mask.long(), []
        silent = self._silent(read.identity)
        while True:
            last = hidden[:, -1]
            logits = self.identities.logits(last, self.network.lm_head(last), [read.identity])[0]
            logits[silent] = float("-inf")
            ids.append(int(logits.argmax()))
            if ids[-1] == self.wording.end or len(ids) == most:
                return [one for one in ids if one != self.wording.end]
            position = position + 1
            mask = F.pad(mask, (0, 1), value=1)
            found = self.network.model(
                inputs_embeds=self.identities.embed(torch.tensor([[ids[-1]]], device=self.device)),
                attention_mask=mask,
                position_ids=position.expand(*batch.positions.shape[:-1], 1),
                past_key_values=cache,
                use_cache=True,
            )
            hidden = found.last_hidden_state

    def _silent(self, identity: str | None) -> list[int]:
        own = self._tokens(identity)
        soft = [one for name, one in own.items() if not name.startswith("<id_")]
        return [*soft, self.family.image_token]

    def _rows(self, name: str) -> IdentityRows:
        self.identities.ids(name)  # raises where it is not loaded
        return self.identities.loaded[name]

    def _tokens(self, identity: str | None) -> dict[str, int]:
        return {} if identity is None else self.identities.ids(identity)


def _key(picture: np.ndarray) -> tuple[Any, ...]:
    return picture.shape, hashlib.sha256(picture.tobytes()).digest()
