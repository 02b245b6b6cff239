"""Batches from lanes: the same ones on any number of loaders and processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from forensics.training.detector.lanes import Lane, LanePlan, State


@dataclass(frozen=True)
class _Given:
    """What a lane gave (`Windows`, or what its kind of lane makes), and where it stands after."""

    lane: int
    windows: Any
    state: State


class _Reader(IterableDataset[_Given]):
    """Asks its lanes in turn, without end; a loader's worker has every so-manieth lane."""

    def __init__(self, lanes: list[Lane]):
        self.lanes = lanes

    def __iter__(self) -> Iterator[_Given]:
        info = get_worker_info()
        mine = self.lanes[info.id :: info.num_workers] if info else self.lanes
        sources = [(lane, iter(lane)) for lane in mine]
        while True:
            for lane, source in sources:
                windows = next(source)
                yield _Given(lane.number, windows, dict(lane.state))


class Batches:
    """This process's share of every batch of a stage, one part after another, without end.

    Args:
        numbers: the lanes of this process.
        states: of lanes that do not start from the beginning.
        loaders: processes that decode and augment; 0 does it in this one. So many as divide the
            lanes are used.
    """

    def __init__(self, plan: LanePlan, numbers: range, states: dict[int, State], loaders: int):
        self.states = dict(states)
        lanes = [plan.lane(number, states.get(number)) for number in numbers]
        used = next((n for n in range(loaders, 1, -1) if len(lanes) % n == 0), min(loaders, 1))
        # A loader asks its workers in turn, as the reader asks its lanes: the order stays.
        loader = DataLoader(_Reader(lanes), batch_size=None, num_workers=used)
        self._source = iter(loader)
        self._lanes = len(lanes)

    def __next__(self) -> Any:
        given = [next(self._source) for _ in range(self._lanes)]
        self.states |= {one.lane: one.state for one in given}
        return given[0].windows.joined([one.windows for one in given])
