"""Reading a language model's answer."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.scenes.answers import AnswerError, find_object, read_answer
from forensics.scenes.edit_plan import EditPlan

GOOD = {
    "edit": "targeted-replacement",
    "target": "car",
    "replacement": "white van",
    "instruction": "Replace the car with a white van.",
    "box": [100, 200, 300, 400],
}


def read(answer, edit="targeted-replacement", width=1280, height=720) -> EditPlan:
    text = answer if isinstance(answer, str) else json.dumps(answer)
    return read_answer(text, edit, width, height, "vlm")


def test_boxes_are_thousandths_of_the_frame():
    assert read(GOOD).box == (128, 144, 384, 288)
    assert read(GOOD | {"box": [999, 990, 1000, 1000]}, height=1000, width=8000).box == (
        7992, 990, 8000, 1000,
    )  # fmt: skip


@pytest.mark.parametrize(
    "wrap",
    [
        "{}",
        "```json\n{}\n```",
        "Sure! Here is the plan:\n{}\nLet me know.",
        '<think>a draft: {{"edit": "addition"}} no {{better}}</think> {}',
        "{} {{}}",
        "{{ {{ {}",
    ],
)
def test_the_object_is_found_in_what_surrounds_it(wrap):
    assert read(wrap.format(json.dumps(GOOD, indent=1))).replacement == "white van"


@pytest.mark.parametrize(
    "change",
    [
        {"edit": "Targeted_Replacement"},
        {"edit": " targeted replacement "},
        {"target": " car\n"},
        {"why": "it fits"},
        {"box": [100.0, 200.0, 300.0, 400.0]},
    ],
)
def test_small_liberties_are_taken_as_meant(change):
    assert read(GOOD | change) == read(GOOD)


def test_a_removal_has_no_replacement_whatever_is_said():
    for said in ("", None, "the road behind it"):
        plan = read(GOOD | {"edit": "removal", "replacement": said}, "removal")
        assert plan.replacement == ""


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("", "no JSON object"),
        ("I cannot help with that.", "no JSON object"),
        ("[1, 2, 3]", "no JSON object"),
        ('{"edit": "removal"', "no JSON object"),
        ('{"a":' * 9000, "no JSON object"),
        ("{}", "edit"),
        (GOOD | {"edit": "explosion"}, "edit"),
        (GOOD | {"edit": "removal"}, "targeted-replacement"),
        (GOOD | {"target": ""}, "target"),
        (GOOD | {"target": ["car"]}, "target"),
        (GOOD | {"replacement": None}, "replacement"),
        (GOOD | {"replacement": "x" * 81}, "replacement"),
        (GOOD | {"instruction": "x" * 401}, "instruction"),
        (GOOD | {"box": [1, 2, 3]}, "box"),
        (GOOD | {"box": "the left half"}, "box"),
        (GOOD | {"box": None}, "box"),
        (GOOD | {"box": [300, 200, 100, 400]}, "left < right"),
        (GOOD | {"box": [0, 0, 1280, 720]}, "0 to 1000"),
        (GOOD | {"box": [-1, 0, 100, 100]}, "0 to 1000"),
        (GOOD | {"box": [0, 0, 1000, 1000]}, "half"),
        (GOOD | {"box": [500, 500, 501, 501]}, "too small"),
        (json.dumps(GOOD).replace("100", "NaN"), "0 to 1000"),
        (json.dumps(GOOD).replace("100", "1e999"), "0 to 1000"),
        (json.dumps(GOOD).replace("100", "9" * 5000), "no JSON object"),
    ],
)
def test_what_cannot_be_used_is_said(answer, says):
    with pytest.raises(AnswerError, match=says):
        read(answer)


@given(st.text(alphabet=st.sampled_from('{}[]":,edit box0123456789.-\\n`'), max_size=300))
def test_any_text_is_a_plan_or_an_answer_error(text):
    try:
        read(text)
    except AnswerError as error:
        assert str(error)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "edit": JSON | st.just("removal"),
            "target": JSON,
            "replacement": JSON,
            "instruction": JSON,
            "box": JSON | st.lists(st.floats(-10, 1010), min_size=4, max_size=4),
        },
    ),
    st.integers(16, 4000),
    st.integers(16, 4000),
)
def test_any_object_is_a_plan_inside_of_the_frame_or_an_answer_error(answer, width, height):
    try:
        plan = read(answer, "removal", width, height)
    except AnswerError:
        return
    left, top, right, bottom = plan.box
    assert 0 <= left < right <= width and 0 <= top < bottom <= height


@given(st.dictionaries(st.text(max_size=5), JSON, min_size=1), st.text("abc \n`", max_size=40))
def test_an_object_comes_back_as_it_was_written(value, around):
    written = json.dumps(value | {"edit": 1})
    assert json.dumps(find_object(f"{around}{written}{around}")) == written
