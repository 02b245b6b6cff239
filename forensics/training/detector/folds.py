"""What a fit does not hear, so that errors on the unheard can be measured."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from forensics.errors import UsageError


@dataclass(frozen=True)
class Fold:
    """What one fit does not hear: these systems, and the speakers of part `part` of `parts`.

    With no parts it hears everything.

    Attributes:
        absent: systems that it does not hear and is not judged by either.
    """

    name: str
    systems: frozenset[str] = frozenset()
    part: int = 0
    parts: int = 0
    absent: frozenset[str] = frozenset()

    def present(self, system: str, group: str) -> bool:
        return system not in self.absent

    def heard(self, system: str, group: str) -> bool:
        return self.system_heard(system, group) and not self.unheard_speaker(group)

    def system_heard(self, system: str, group: str) -> bool:
        """What may choose among weights: no training ever hears speakers of the dev split."""
        return self.present(system, group) and system not in self.systems

    def unheard_speaker(self, group: str) -> bool:
        digest = hashlib.sha256(group.encode()).digest()
        return self.parts > 0 and int.from_bytes(digest[:8], "big") % self.parts == self.part

    def unheard(self, system: str, group: str) -> bool:
        """Training items that neither by system nor by speaker were heard; and real ones."""
        return self.unheard_speaker(group) and (system in self.systems or system == "bonafide")

    def unheard_real(self, system: str, group: str) -> bool:
        """Real speech of the training split whose speakers were not heard."""
        return self.unheard_speaker(group) and system == "bonafide"

    def compared(self, system: str, group: str) -> bool:
        """What of the dev split is scored in the end: real speech, and systems left out; all
        by a fit that leaves nothing out."""
        if not self.systems:
            return self.present(system, group)
        return system == "bonafide" or system in self.systems


def everything(system: str, group: str) -> bool:
    return True


@dataclass(frozen=True)
class Limited:
    """A fold's training items, of these systems (and real speech) only."""

    fold: Fold
    systems: frozenset[str]

    def heard(self, system: str, group: str) -> bool:
        return (system == "bonafide" or system in self.systems) and self.fold.heard(system, group)


def systems_called(names: Iterable[str], kinds: Mapping[str, str]) -> frozenset[str]:
    """The forged systems of a corpus that have such a name or kind.

    Args:
        kinds: system → kind, `bonafide` among them or not.
    """
    wanted = set(names)
    forged = kinds.keys() - {"bonafide"}
    return frozenset(name for name in forged if name in wanted or kinds[name] in wanted)


def left_out_systems(
    names: Collection[str], kinds: Mapping[str, str], field: str = "leave_out"
) -> frozenset[str]:
    """The same, for a whole run to leave out.

    Args:
        field: of the config that names them, for messages.

    Raises:
        UsageError: one of the names is of nothing in the corpus, or nothing forged is left.
    """
    for name in names:
        if not systems_called([name], kinds):
            known = ", ".join(sorted(kinds.keys() - {"bonafide"}))
            raise UsageError(
                f"{field} names {name!r}, which the corpus does not have",
                f"name systems ({known}) or their kinds",
            )
    left_out = systems_called(names, kinds)
    if left_out >= kinds.keys() - {"bonafide"}:
        raise UsageError(f"{field} leaves nothing forged to train on", "name fewer systems")
    return left_out


def crossed_folds(leave_out: Collection[Collection[str]], systems: Collection[str]) -> list[Fold]:
    """One fold for each set to leave out, with a part of the speakers each.

    Args:
        systems: that the corpus has.

    Raises:
        UsageError: it has systems of fewer than two of the sets.
    """
    left_out = [present for names in leave_out if (present := set(systems) & set(names))]
    if len(left_out) < 2:
        raise UsageError(
            f"of the systems in leave_out the corpus has {sorted(set().union(*left_out))}",
            "build it with systems of at least two entries of leave_out",
        )
    return [
        Fold(f"fold-{part + 1}", frozenset(names), part, len(left_out))
        for part, names in enumerate(left_out)
    ]
