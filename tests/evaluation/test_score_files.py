from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import UsageError
from forensics.evaluation.clips import Clip
from forensics.evaluation.score_files import aligned, read_scores, write_scores
from forensics.evaluation.scored import ScoredSet

keys = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=9)
finite = st.floats(allow_nan=False, allow_infinity=False)


def scored(rows: dict[str, float]) -> ScoredSet:
    clips = [Clip(key, True, "bonafide", "bonafide", "", key) for key in rows]
    return ScoredSet.of(clips, np.array(list(rows.values()), float))


@given(st.dictionaries(keys, finite, min_size=1, max_size=9))
def test_scores_come_back_to_the_last_bit(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("scores") / "scores.tsv"
    write_scores(path, scored(rows))
    assert path.read_text(encoding="utf-8").startswith("filename\tcm-score\n")
    assert read_scores(path) == rows


def test_names_with_spaces_and_files_of_others(tmp_path):
    path = tmp_path / "scores.txt"
    path.write_text("filename\tcm-score\na b.wav\t-1.5\nc\t-\nd\t2e0\t3.0\n")
    assert read_scores(path) == {"a b.wav": -1.5, "d": 2.0}
    path.write_text("LA_E_1 0.5\nLA_E_2 -7\n")
    assert read_scores(path) == {"LA_E_1": 0.5, "LA_E_2": -7.0}


@pytest.mark.parametrize("line", ["a", "a\tb", "a\tnan", "a\tinf", "a 1\na 2"])
def test_lines_without_a_score_are_named(tmp_path, line):
    path = tmp_path / "scores.tsv"
    path.write_text(f"x\t1\n{line}\n")
    with pytest.raises(UsageError, match=r"line [23]"):
        read_scores(path)


def test_scores_are_put_in_the_order_of_the_clips(tmp_path):
    values = aligned({"b": 2.0, "a": 1.0}, ["a", "c", "b"], tmp_path)
    assert values[[0, 2]].tolist() == [1.0, 2.0] and math.isnan(values[1])
    with pytest.raises(UsageError, match="no name"):
        aligned({"x": 1.0}, ["a"], tmp_path)
    with pytest.raises(UsageError, match="cannot stand"):
        write_scores(tmp_path / "out.tsv", scored({"a\tb": 1.0}))
