"""Measures each family of trivial features and judges it by its limit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from forensics.auditing.features import FeatureSet, Value
from forensics.auditing.leak_model import Auc, Design, Table, held_out_auc, make_design
from forensics.auditing.material import Entry
from forensics.auditing.report import (
    Evidence,
    FamilyStatus,
    Leak,
    Settings,
    SystemResult,
)

JUDGED, EVERYTHING = "all judged", "everything"


class Judge:
    """Holds one sample of a corpus: its features, and who is compared with whom."""

    def __init__(
        self,
        entries: Sequence[Entry],
        rows: Sequence[dict[str, Value]],
        features: FeatureSet,
        settings: Settings,
    ):
        self.settings = settings
        self.remedies = {family.name: family.remedy for family in features.families}
        self.table = Table(rows)
        self.spoof = np.array([entry.label == "spoof" for entry in entries], bool)
        self.of_system = np.array([entry.system for entry in entries], str)
        self.groups = np.array([entry.group for entry in entries], str)
        self.design = make_design(
            self.spoof,
            self.of_system,
            [entry.group for entry in entries],
            [entry.source_id for entry in entries],
            settings.seed,
        )
        self.columns = self._columns()
        names = sorted(set(self.of_system[self.spoof].tolist()))
        self.system_names = names if len(names) > 1 else []  # one alone is the pool itself

    def families(self) -> Iterator[Leak]:
        """Every family alone, all judged ones together, everything together."""
        everyone = np.ones(len(self.spoof), bool)
        shortage = self.design.shortage()
        for name in self.columns:
            if shortage:
                yield self._unmeasured(name, shortage)
            else:
                yield self._leak(name, self.design, everyone, comparisons=1)

    def systems(self) -> Iterator[SystemResult]:
        """Each of several systems against all bona fide items; intervals allow for their number."""
        masks = {name: ~self.spoof | (self.of_system == name) for name in self.system_names}
        designs = {name: self.design.only(mask, self.of_system) for name, mask in masks.items()}
        shortages = {name: design.shortage() for name, design in designs.items()}
        varying = [name for name, columns in self.columns.items() if columns]
        comparisons = len(varying) * sum(why is None for why in shortages.values())
        for name in self.system_names:
            measured = () if shortages[name] else varying
            yield SystemResult(
                system=name,
                items=int((self.of_system == name).sum()),
                groups=len(np.unique(self.groups[self.of_system == name])),
                reason=shortages[name],
                leaks=tuple(
                    self._leak(family, designs[name], masks[name], comparisons)
                    for family in measured
                ),
            )

    def _columns(self) -> dict[str, list[str]]:
        """Family → the columns that vary."""
        alone = {name: self.table.varying(name) for name in self.remedies}
        judged = [name for name in alone if self.settings.limits[name] is not None]
        return alone | {
            JUDGED: [column for name in judged for column in alone[name]],
            EVERYTHING: [column for columns in alone.values() for column in columns],
        }

    def _leak(self, family: str, design: Design, mask: np.ndarray, comparisons: int) -> Leak:
        columns, limit = self.columns[family], self.settings.limits.get(family)
        if not columns:
            return Leak(
                family=family,
                auc=0.5,
                low=0.5,
                high=0.5,
                limit=limit,
                status="reported" if limit is None else "pass",
                reason="the same for every item",
            )
        features = self.table.matrix(columns)[mask]
        auc = held_out_auc(features, design, self.settings.seed, comparisons)
        status = judged(auc, limit)
        return Leak(
            family=family,
            auc=round(auc.value, 4),
            low=round(auc.low, 4),
            high=round(auc.high, 4),
            limit=limit,
            status=status,
            reason="above the limit, its interval reaches below: more items would tell"
            if status == "inconclusive"
            else None,
            evidence=self._evidence(columns, mask),
            remedy=self.remedies.get(family),
        )

    def _unmeasured(self, family: str, why: str) -> Leak:
        limit = self.settings.limits.get(family)
        status = "reported" if limit is None else "inconclusive"
        return Leak(family=family, limit=limit, status=status, reason=why)

    def _evidence(self, columns: list[str], mask: np.ndarray) -> Evidence:
        """The column whose distributions lie furthest apart (Kolmogorov-Smirnov distance)."""
        fake, real = mask & self.spoof, mask & ~self.spoof
        column = max(
            columns,
            key=lambda name: _distance(
                self.table.columns[name][fake], self.table.columns[name][real]
            ),
        )
        return Evidence(
            feature=column,
            spoof=_typical(self.table.values(column, fake)),
            bonafide=_typical(self.table.values(column, real)),
        )


def judged(auc: Auc, limit: float | None) -> FamilyStatus:
    """The decision rule: see `forensics.auditing.run`."""
    if limit is None:
        return "reported"
    if auc.low > limit:
        return "fail"
    return "inconclusive" if auc.value > limit else "pass"


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    """Largest gap between two distribution functions, in [0, 1]; an absent value is the lowest."""
    a, b = np.sort(np.nan_to_num(a, nan=-np.inf)), np.sort(np.nan_to_num(b, nan=-np.inf))
    points = np.concatenate([a, b])
    below_a = np.searchsorted(a, points, "right") / len(a)
    below_b = np.searchsorted(b, points, "right") / len(b)
    return float(np.abs(below_a - below_b).max())


def _typical(values: list[Value | None]) -> str:
    """The median and middle half of numbers, the commonest text, how many have none."""
    present = [value for value in values if value is not None]
    numbers = [value for value in present if not isinstance(value, str) and np.isfinite(value)]
    absent = 1 - len(present) / len(values)
    tail = f", absent in {absent:.0%}" if absent else ""
    if numbers:
        low, middle, high = np.percentile(numbers, [25, 50, 75])
        return f"{middle:.4g} (half: {low:.4g} to {high:.4g}{tail})"
    if not present:
        return "absent"
    text, count = Counter(present).most_common(1)[0]
    return f"{text!r} ({count / len(values):.0%}{tail})"
