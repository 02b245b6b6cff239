"""Which conditions an item goes through: drawn from its seed, blind to label and media."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from forensics.conditions.base import CONDITIONS, Condition
from forensics.errors import MissingRequirement, UsageError
from forensics.media.audio import Waveform
from forensics.registry import Registry

# Keeps this stream apart from whatever else is drawn from the same item's seed.
_STREAM = 0x636F6E64

C = TypeVar("C")


class Choice(BaseModel, Generic[C]):
    """One condition that may be drawn: its name, its weight, its parameters."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    registry: ClassVar[Registry[Any]]
    use: str
    weight: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    params: dict[str, Any] = Field(default_factory=dict)

    def build(self) -> C:
        """The condition itself.

        Raises:
            UsageError: no condition of that name, or parameters that it does not take.
        """
        kind = self.registry.get(self.use)
        try:
            return kind(**self.params)
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, fault['loc'])) or 'params'}: {fault['msg']}"
                for fault in error.errors()
            )
            known = ", ".join(kind.model_fields)
            raise UsageError(
                f"{self.registry.sort} {self.use!r} cannot be used as given: {faults}",
                f"its parameters are: {known}",
            ) from error


T = TypeVar("T", bound=Choice[Any])


class Policy(BaseModel, Generic[T]):
    """How a corpus draws channel conditions; the default draws none.

    With `probability` an item gets any at all; then 1 to `max_stack` of the entries of `choose`,
    equally likely how many, drawn by weight without replacement. They are applied in the order in
    which `choose` lists them, so that a recipe can put the room before the codec.

    Raises:
        UsageError: when it is made, if an entry of `choose` names no condition or parameters that
            the condition does not take.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    registry: ClassVar[Registry[Any]]
    probability: float = Field(default=0.0, ge=0, le=1)
    max_stack: int = Field(default=1, ge=1)
    choose: tuple[T, ...] = ()
    _conditions: tuple[Any, ...] = PrivateAttr(())

    def model_post_init(self, context: Any, /) -> None:
        if self.probability > 0 and not self.choose:
            raise UsageError(
                "conditions have a probability but none to choose from",
                f"list some under 'choose': {', '.join(self.registry.names())}",
            )
        if self.choose and self.max_stack > len(self.choose):
            raise UsageError(
                f"max_stack is {self.max_stack}, but there are {len(self.choose)} to choose from",
                "an entry is drawn once at most: lower max_stack or add entries",
            )
        self._conditions = tuple(choice.build() for choice in self.choose)

    def draw(self, seed: int) -> tuple[int, ...]:
        """Indices into `choose`, ascending: what an item of that seed (>= 0) goes through."""
        rng = _stream(seed, 0)
        if rng.random() >= self.probability:
            return ()
        weights = np.array([choice.weight for choice in self.choose])
        count = int(rng.integers(1, self.max_stack, endpoint=True))
        drawn = rng.choice(len(weights), count, replace=False, p=weights / weights.sum())
        return tuple(sorted(int(index) for index in drawn))

    def _drawn(self, seed: int) -> Iterator[tuple[str, Any, np.random.Generator]]:
        """Name, condition and its own stream: what one consumes never moves the next one's draw."""
        for index in self.draw(seed):
            yield self.choose[index].use, self._conditions[index], _stream(seed, index + 1)


class ConditionChoice(Choice[Condition]):
    """A condition of speech that may be drawn."""

    registry: ClassVar[Registry[Any]] = CONDITIONS


class ConditionPolicy(Policy[ConditionChoice]):
    """How speech draws its channel; see `Policy`."""

    registry: ClassVar[Registry[Any]] = CONDITIONS

    def check(self) -> list[MissingRequirement]:
        """What the listed conditions lack on this machine."""
        return [missing for condition in self._conditions for missing in condition.check()]

    def apply(self, wave: Waveform, seed: int) -> tuple[Waveform, tuple[dict[str, Any], ...]]:
        """Draw by the seed (>= 0) and apply.

        Returns:
            The recording, same length and rate, and for each applied condition `use` (its name)
            with what it drew, JSON-safe.

        Raises:
            MissingRequirement: a drawn condition lacks what it needs; see `check`.
        """
        applied = []
        for name, condition, rng in self._drawn(seed):
            wave, drawn = condition.apply(wave, rng)
            applied.append({"use": name, **drawn})
        return wave, tuple(applied)


def _stream(seed: int, place: int) -> np.random.Generator:
    # A spawn key, not one more number in the entropy: there, [seed] and [seed, 0] are the same.
    return np.random.default_rng(np.random.SeedSequence([_STREAM, seed], spawn_key=(place,)))
