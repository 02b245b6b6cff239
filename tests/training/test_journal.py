from __future__ import annotations

import json

import pytest

from forensics.errors import UsageError
from forensics.training.journal import EVENTS, LOG, RUN, Journal, claim, read


def test_lines_of_steps_that_are_done_again_go(tmp_path):
    with Journal(tmp_path) as journal:
        for step in (1, 2, 3):
            journal.append(step=step, loss=float("nan") if step == 2 else 0.5, dev={"eer": 0.1})
    with (tmp_path / LOG).open("a") as file:
        file.write('{"step": 4, "lo')  # a kill in the midst of a line
    with Journal(tmp_path, kept=2) as journal:
        journal.append(step=3, loss=0.25)
    lines = [json.loads(line) for line in (tmp_path / LOG).read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert [line["loss"] for line in lines] == [0.5, None, 0.25]
    assert read(tmp_path / LOG) == lines


def test_a_folder_belongs_to_one_config(tmp_path):
    claim(tmp_path / "run", "lr: 1\nsteps: 2\n")
    claim(tmp_path / "run", "lr: 1\nsteps: 2\n")
    with pytest.raises(UsageError, match=r"-steps: 2; \+steps: 3"):
        claim(tmp_path / "run", "lr: 1\nsteps: 3\n")
    assert (tmp_path / "run" / RUN).read_text() == "lr: 1\nsteps: 2\n"
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / LOG).write_text("{}\n")
    with pytest.raises(UsageError, match="name another folder"):
        claim(tmp_path / "other", "lr: 1\n")


def test_tensorboard_holds_the_same_numbers(tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with Journal(tmp_path, tensorboard=True) as journal:
        journal.append(step=5, loss=0.5, dev={"eer": 0.25}, note="words stay out")
    events = accumulator.EventAccumulator(str(tmp_path / EVENTS))
    events.Reload()
    assert sorted(events.Tags()["scalars"]) == ["dev/eer", "loss"]
    assert [(e.step, e.value) for e in events.Scalars("dev/eer")] == [(5, 0.25)]
