"""From what a language model wrote to an `EditPlan`, or to one line that says what is wrong."""

from __future__ import annotations

import json
import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from forensics.scenes.edit_plan import EditPlan, EditType

_LONGEST = 20_000  # characters that are looked at
_GRID = 1000
_LEAST_SIDE = 8  # pixels
_MOST_SHARE = 0.5  # of the frame: more is no local edit


class AnswerError(ValueError):
    """What is wrong with an answer, told to the model as it is."""


def _as_edit(value: Any) -> Any:
    return (
        value.strip().lower().replace("_", "-").replace(" ", "-")
        if isinstance(value, str)
        else value
    )


def _as_text(value: Any) -> Any:
    return "" if value is None else value.strip() if isinstance(value, str) else value


class _Answer(BaseModel):
    model_config = ConfigDict(extra="ignore")
    edit: Annotated[EditType, BeforeValidator(_as_edit)]
    target: Annotated[str, BeforeValidator(_as_text)] = Field(min_length=1, max_length=80)
    replacement: Annotated[str, BeforeValidator(_as_text)] = Field(default="", max_length=80)
    instruction: Annotated[str, BeforeValidator(_as_text)] = Field(min_length=1, max_length=400)
    box: tuple[float, float, float, float]


def read_answer(text: str, edit: EditType, width: int, height: int, planner: str) -> EditPlan:
    """The plan in a model's answer.

    The JSON object may stand in prose or in a code fence. Boxes are in thousandths of the frame's
    sides.

    Args:
        text: the answer.
        edit: the edit that was asked for.
        width: of the frame, pixels.
        height: of the frame, pixels.
        planner: name to put into the plan.

    Raises:
        AnswerError: there is no plan in it.
    """
    try:
        answer = _Answer.model_validate(find_object(text))
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise AnswerError(f"{where}: {first['msg']}") from error
    if answer.edit != edit:
        raise AnswerError(f'edit must be "{edit}"')
    try:
        return EditPlan(
            edit=edit,
            target=answer.target,
            # Models like to say what appears behind a removed thing.
            replacement="" if edit == "removal" else answer.replacement,
            instruction=answer.instruction,
            box=_pixels(answer.box, width, height),
            planner=planner,
        )
    except ValidationError as error:
        raise AnswerError(error.errors()[0]["msg"]) from error


def find_object(text: str) -> dict[str, Any]:
    """The last JSON object in a text that has an "edit"; else the last object at all.

    Models that think aloud write drafts first, so the last one counts.

    Raises:
        AnswerError: there is none.
    """
    decoder = json.JSONDecoder()
    found: list[dict[str, Any]] = []
    text = text[:_LONGEST]
    place = text.find("{")
    while place >= 0:
        try:
            value, end = decoder.raw_decode(text, place)
            found.append(value)
        except (ValueError, RecursionError):
            end = place + 1
        place = text.find("{", end)
    if not found:
        raise AnswerError("the answer holds no JSON object")
    return next((value for value in reversed(found) if "edit" in value), found[-1])


def _pixels(box: tuple[float, ...], width: int, height: int) -> tuple[int, int, int, int]:
    left, top, right, bottom = box
    if not all(math.isfinite(v) and 0 <= v <= _GRID for v in box):
        raise AnswerError(f"box must hold four numbers from 0 to {_GRID}")
    if not (left < right and top < bottom):
        raise AnswerError("box must be [left, top, right, bottom] with left < right, top < bottom")
    if (right - left) * (bottom - top) > _MOST_SHARE * _GRID**2:
        raise AnswerError("box covers more than half of the frame; the edit must be local")
    x0, x1 = math.floor(left * width / _GRID), math.ceil(right * width / _GRID)
    y0, y1 = math.floor(top * height / _GRID), math.ceil(bottom * height / _GRID)
    if min(x1 - x0, y1 - y0) < _LEAST_SIDE:
        raise AnswerError("box is too small to be edited")
    return x0, y0, x1, y1
