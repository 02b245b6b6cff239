"""Several networks as one: the sum of their scores, each on a scale of its own.

Networks that look at speech in different ways err on different systems; the mean of their scores
errs less than any of them. The members are trained apart, so that none leans on another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from torch import Tensor, nn

from forensics.networks.described import Described
from forensics.networks.explained import Explained
from forensics.networks.log_spectrum import mean_in_step


class EnsembleMember(BaseModel):
    """One network of an ensemble.

    Attributes:
        detector, version: whose network it is, as `forensics list detectors` names it.
        architecture: fields of its network's config.
        scale: what its score is multiplied by before it is added to the others'.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    detector: str
    version: str
    architecture: dict[str, JsonValue] = {}
    scale: float = Field(default=1.0, gt=0, allow_inf_nan=False)


class EnsembleConfig(BaseModel):
    """The members in order, and what is added to the sum of their scaled scores."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    members: tuple[EnsembleMember, ...] = Field(min_length=2, max_length=16)
    offset: float = Field(default=0.0, allow_inf_nan=False)


class Ensemble(nn.Module):
    """float32 (B, T) samples → scores float32 (B,), higher = bona fide.

    Args:
        members: networks with `describe` and a free `explain`, in the order of the config.
    """

    explains_for_free = True

    def __init__(self, config: EnsembleConfig, members: Sequence[nn.Module]):
        super().__init__()
        self.config = config
        self.members = nn.ModuleList(members)

    def forward(self, samples: Tensor) -> Tensor:
        return self.describe(samples).score

    def describe(self, samples: Tensor) -> Described:
        """Scores of samples (B, T), and the members' embeddings side by side."""
        parts = [member.describe(samples) for member in self.members]  # type: ignore[operator]
        embedding = torch.cat([part.embedding for part in parts], dim=1)
        return Described(self._summed(parts), embedding)

    def explain(self, samples: Tensor) -> Explained:
        """The scores again, with the mean of the members' attention, in the coarsest one's steps.

        Layers are left out: they are of one member, and the score is of all.
        """
        parts = [member.explain(samples) for member in self.members]  # type: ignore[operator]
        steps = min(part.time.shape[1] for part in parts)
        shares = [mean_in_step(part.time, steps) for part in parts]
        time = torch.stack([one / one.sum(dim=1, keepdim=True) for one in shares]).mean(dim=0)
        return Explained(self._summed(parts), time)

    def _summed(self, parts: Sequence[Any]) -> Tensor:
        total = torch.full_like(parts[0].score, self.config.offset)
        for member, part in zip(self.config.members, parts, strict=True):
            total = total + member.scale * part.score
        return total
