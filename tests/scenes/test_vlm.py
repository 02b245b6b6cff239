"""The VLM planner and the realism filter, through a real (tiny, random) LLaVA."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from forensics.errors import MissingRequirement, UsageError
from forensics.scenes.edit_plan import EditPlan
from forensics.scenes.errors import SceneError
from forensics.scenes.planners import PlannerConfig, make_planner
from forensics.scenes.planning import plan_edit
from forensics.scenes.realism import RealismConfig, VlmRealism, make_realism
from forensics.scenes.scene import Scene
from forensics.scenes.vlm import Turn, Vlm, VlmConfig
from forensics.scenes.vlm_planner import VlmPlanner

FRAME = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
GOOD = {
    "edit": "removal",
    "target": "car",
    "replacement": "",
    "instruction": "Remove the car.",
    "box": [250, 250, 750, 750],
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from helpers.tiny_vision_models import llava

    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("llava")
    llava(folder)
    return folder


def config(folder, **more):
    return VlmConfig(model=str(folder), max_new_tokens=12, **more)


def test_nonsense_from_a_real_model_is_a_counted_error(tiny):
    planner = VlmPlanner(config(tiny))
    with pytest.raises(SceneError) as caught:
        plan_edit(FRAME, None, ("removal", "addition"), 0, planner)
    assert caught.value.reason == "planner: no valid plan"
    assert "no JSON object" in str(caught.value)


def test_answers_are_the_same_for_a_seed_and_differ_between_seeds(tiny):
    vlm = Vlm(config(tiny, temperature=1.0))
    turns = [Turn("user", "What is there?", (FRAME,))]
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    first, again, other = vlm.answer(turns, 1), vlm.answer(turns, 1), vlm.answer(turns, 2)
    assert first == again != other
    assert torch.equal(torch.random.get_rng_state(), state)


def test_the_picture_reaches_the_model(tiny):
    vlm = Vlm(config(tiny))
    question = "Is it dark? yes or no"
    one = vlm.yes([Turn("user", question, (FRAME,))])
    two = vlm.yes([Turn("user", question, (255 - FRAME,))])
    assert one != two


def _script(monkeypatch, *answers):
    """A model that says these things in turn; records what it was told."""
    told, left = [], list(answers)

    def answer(self, turns, seed):
        told.append(list(turns))
        return left.pop(0)

    monkeypatch.setattr(Vlm, "answer", answer)
    return told


def test_a_bad_answer_is_told_once_what_is_wrong(tiny, monkeypatch):
    bad = json.dumps(GOOD | {"box": [700, 0, 100, 50]})
    told = _script(monkeypatch, bad, f"Sorry. ```json\n{json.dumps(GOOD)}\n```")
    plan, mask = plan_edit(FRAME, None, ("removal",), 0, VlmPlanner(config(tiny)))
    assert [t.role for t in told[1]] == ["user", "assistant", "user"]
    assert told[1][1].text == bad and "left < right" in told[1][2].text
    assert (plan.edit, plan.target, plan.planner) == ("removal", "car", "vlm")
    inside = mask[12:36, 16:48]
    assert mask.any() and inside.sum() > 0.5 * mask.sum()


def test_the_second_bad_answer_is_the_last(tiny, monkeypatch):
    told = _script(monkeypatch, "no", "no idea", json.dumps(GOOD))
    with pytest.raises(SceneError, match="no JSON object"):
        plan_edit(FRAME, None, ("removal",), 0, VlmPlanner(config(tiny)))
    assert len(told) == 2


def test_every_question_can_be_asked_in_a_real_template(tiny):
    """All four prompts render, with the picture in them, and name the edit that is wanted."""
    planner = VlmPlanner(config(tiny))
    for edit in ("removal", "targeted-replacement", "open-ended-replacement", "addition"):
        with pytest.raises(SceneError, match="planner"):
            planner.plan(Scene(FRAME, (), (edit,)), np.random.default_rng(0))


def test_realism_compares_yes_with_no(tiny, tmp_path):
    """Swapping what the model would say for yes and no turns its verdict round."""
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    plan = EditPlan(edit="removal", target="car", instruction="Go.", box=(1, 1, 9, 9), planner="x")
    before, after = FRAME, FRAME[::-1].copy()
    real = RealismConfig(model=str(tiny))
    p = VlmRealism(real).probability(before, after, plan)

    model = LlavaForConditionalGeneration.from_pretrained(tiny)
    processor = AutoProcessor.from_pretrained(tiny)
    ids = {c: processor.tokenizer.encode(c)[0] for c in "yYnN"}
    head = model.lm_head.weight.data
    for a, b in (("y", "n"), ("Y", "N")):
        head[[ids[a], ids[b]]] = head[[ids[b], ids[a]]].clone()
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    swapped = VlmRealism(RealismConfig(model=str(tmp_path)))
    assert swapped.probability(before, after, plan) == pytest.approx(1 - p, abs=1e-6)
    assert p != 0.5
    strict = make_realism(RealismConfig(model=str(tiny), threshold=min(p + 1e-3, 1)))
    lenient = make_realism(RealismConfig(model=str(tiny), threshold=max(p - 1e-3, 0)))
    assert strict and not strict.judge(before, after, plan)
    assert lenient and lenient.judge(before, after, plan)
    assert make_realism(None) is None


def test_a_model_that_is_not_here_names_its_command():
    with pytest.raises(MissingRequirement, match="hf download"):
        Vlm(VlmConfig(model="nobody/nothing")).answer([Turn("user", "?")], 0)


def test_a_model_without_chat_template_is_refused(tmp_path):
    from helpers.tiny_vision_models import llava

    llava(tmp_path, chat=False)
    with pytest.raises(UsageError, match="chat template"):
        Vlm(config(tmp_path)).answer([Turn("user", "?")], 0)


def test_planners_by_configuration(tiny):
    from pydantic import TypeAdapter, ValidationError

    read = TypeAdapter(PlannerConfig).validate_python
    rules, vlm = read({"use": "rules"}), read({"use": "vlm", "model": str(tiny)})
    assert [make_planner(c).name for c in (rules, vlm)] == ["rules", "vlm"]
    assert rules.requirements() == () and vlm.requirements()[0].missing() is None
    assert rules.fingerprint() != vlm.fingerprint() == read(vlm.model_dump()).fingerprint()
    for wrong in ({"use": "oracle"}, {"use": "rules", "model": "x"}, {"use": "vlm"}):
        with pytest.raises(ValidationError):
            read(wrong)
