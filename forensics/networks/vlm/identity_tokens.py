"""Rows of embedding and LM head beside those of a frozen model.

The model's own matrices are neither resized nor touched: ids past the vocabulary are looked up in
an index table, and `torch.where` chooses between a row of the base and a row of an identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.errors import CorpusError, UsageError
from forensics.networks.vlm.rows import IdentityRows


class IdentityTokens(nn.Module):
    """The tokens of all loaded identities, as ids from `vocabulary` on.

    Args:
        embedding: the model's input embedding; stays what it is.
        tied: the LM head is the embedding: there are input rows only.
    """

    def __init__(self, embedding: nn.Module, tied: bool):
        super().__init__()
        self._base: list[Any] = [embedding]  # in a list: not a part of this module
        self.tied = tied
        weight = embedding.weight
        assert isinstance(weight, Tensor)
        self.vocabulary, self.width = weight.shape
        self.input_rows = nn.Parameter(weight.new_zeros(0, self.width, dtype=torch.float32))
        self.output_rows = (
            None if tied else nn.Parameter(weight.new_zeros(0, self.width, dtype=torch.float32))
        )
        self.first: dict[str, int] = {}
        self.loaded: dict[str, IdentityRows] = {}

    def load(self, identities: Sequence[IdentityRows]) -> None:
        """Take these in place of what was loaded.

        Raises:
            UsageError: two of one name.
            CorpusError: rows of another width, or output rows that a tied model cannot have.
        """
        names = [one.name for one in identities]
        if len(set(names)) < len(names):
            raise UsageError("two identities of one name", "load each name once")
        for one in identities:
            if one.width != self.width:
                raise CorpusError(
                    f"tokens of {one.name} are {one.width} wide, the model's {self.width}",
                    "enrol the person with this model",
                )
            if self.tied and not np.array_equal(one.input_rows, one.output_rows):
                raise CorpusError(
                    f"tokens of {one.name} have output rows of their own, the model has none",
                    "enrol the person with this model",
                )
        counts = np.cumsum([0, *(len(one.tokens) for one in identities)])
        self.first = dict(zip(names, (int(n) + self.vocabulary for n in counts), strict=False))
        self.loaded = {one.name: one for one in identities}
        self.input_rows = self._parameter([one.input_rows for one in identities])
        if not self.tied:
            self.output_rows = self._parameter([one.output_rows for one in identities])

    def rows_of(self, name: str) -> IdentityRows:
        """The rows as they are now, of a loaded identity."""
        known = self.loaded[name]
        start = self.first[name] - self.vocabulary
        taken = slice(start, start + len(known.tokens))
        inputs = self.input_rows.detach()[taken].float().cpu().numpy().copy()
        head = self.input_rows if self.output_rows is None else self.output_rows
        outputs = head.detach()[taken].float().cpu().numpy().copy()
        return IdentityRows(name, known.tokens, inputs, outputs)

    def ids(self, name: str) -> dict[str, int]:
        """Id of each token name, for an identity.

        Raises:
            UsageError: it is not loaded.
        """
        if name not in self.loaded:
            raise UsageError(f"the identity {name!r} is not loaded", "enrol it, or load its tokens")
        return {token: self.first[name] + i for i, token in enumerate(self.loaded[name].tokens)}

    def embed(self, ids: Tensor) -> Tensor:
        """Ids (...) → embeddings (..., d) in the dtype of the base."""
        base = self._base[0](ids.clamp(max=self.vocabulary - 1))
        if not len(self.input_rows):
            return base
        own = F.embedding((ids - self.vocabulary).clamp(min=0), self.input_rows)
        return torch.where((ids >= self.vocabulary)[..., None], own.to(base.dtype), base)

    def logits(self, hidden: Tensor, base: Tensor, owners: Sequence[str | None]) -> Tensor:
        """Logits (B, ..., V) of the base → (B, ..., V + tokens); tokens of others than the
        example's own identity are impossible, so that who else is loaded changes nothing.

        Args:
            hidden: (B, ..., d), what the LM head was given.
            owners: the identity of each example.
        """
        if not len(self.input_rows):
            return base
        rows = self.input_rows if self.output_rows is None else self.output_rows
        own = F.linear(hidden, rows.to(hidden.dtype)).to(base.dtype)
        allowed = torch.zeros(len(owners), len(rows), dtype=torch.bool, device=own.device)
        for i, owner in enumerate(owners):
            if owner is not None:
                start = self.first[owner] - self.vocabulary
                allowed[i, start : start + len(self.loaded[owner].tokens)] = True
        allowed = allowed.reshape(len(owners), *[1] * (own.ndim - 2), len(rows))
        return torch.cat([base, own.masked_fill(~allowed, float("-inf"))], dim=-1)

    def initial(
        self,
        name: str,
        tokens: tuple[str, ...],
        seed: int,
        like: Literal["base", "normal"] = "base",
    ) -> IdentityRows:
        """Rows to begin an enrolment with, chosen by the seed alone.

        Args:
            like: with mean and spread of the base's rows, or with 0 and 1.
        """
        inputs = np.random.default_rng(seed).standard_normal((len(tokens), self.width))
        if like == "base":
            weight = self._base[0].weight.detach()
            rows = weight[:: max(1, len(weight) // 4096)].float().cpu().numpy()
            inputs = rows.mean(axis=0) + rows.std(axis=0) * inputs
        inputs = inputs.astype(np.float32)
        head = inputs if self.tied else np.zeros_like(inputs)
        return IdentityRows(name, tokens, inputs, head)

    def _parameter(self, rows: list[np.ndarray]) -> nn.Parameter:
        stacked = np.concatenate([np.zeros((0, self.width), np.float32), *rows])
        return nn.Parameter(torch.from_numpy(stacked).to(self.input_rows.device))
