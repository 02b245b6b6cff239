"""Grounding through real (tiny, random) detectors and segmenters."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from forensics.errors import MissingRequirement
from forensics.scenes.grounding import GrounderConfig, make_grounder
from forensics.scenes.planning import plan_edit
from forensics.scenes.rule_planner import RulePlanner

FRAME = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    from helpers import tiny_vision_models as models

    torch.set_num_threads(1)
    root = tmp_path_factory.mktemp("grounding")
    models.owlv2(root / "owlv2")
    models.grounding_dino(root / "dino")
    models.sam(root / "sam")
    models.sam2(root / "sam2")
    return root


def make(tiny, segmenter: str | None = "sam", detector="owlv2", **more):
    named = str(tiny / segmenter) if segmenter else None
    found = make_grounder(
        GrounderConfig(detector=str(tiny / detector), segmenter=named, threshold=0.0, **more)
    )
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("detector", "segmenter"),
    [("owlv2", "sam"), ("owlv2", "sam2"), ("owlv2", None), ("dino", None)],
)
def test_named_things_come_back_as_objects(tiny, detector, segmenter):
    grounder = make(tiny, segmenter, detector)
    found = grounder.find(FRAME, ("Person.", "red car"))
    assert found
    assert [o.score for o in found] == sorted((o.score for o in found), reverse=True)
    for thing in found:
        assert thing.mask.shape == FRAME.shape[:2] and thing.mask.dtype == bool
        assert thing.mask.any() and thing.origin == "grounder"
        if detector == "owlv2":  # DINO says the words that it matched, here random letters
            assert thing.label in ("person", "red car")
        left, top, right, bottom = thing.box
        assert 0 <= left < right <= 80 and 0 <= top < bottom <= 60


def test_a_threshold_that_nothing_reaches_finds_nothing(tiny):
    grounder = make_grounder(GrounderConfig(detector=str(tiny / "owlv2"), threshold=1.0))
    assert grounder and grounder.find(FRAME, ("person",)) == ()


def test_a_segmenter_outlines_what_is_in_a_box(tiny):
    box = (10, 10, 50, 40)
    segmented = make(tiny).outline(FRAME, box)
    cut = make(tiny, None).outline(FRAME, box)
    assert segmented.shape == cut.shape == (60, 80)
    assert segmented.any() and cut.any() and not np.array_equal(segmented, cut)
    assert not cut[:, 50:].any() and not cut[40:].any()


def test_a_plan_can_rest_on_a_grounder(tiny):
    grounder = make(tiny, labels=("lamp",))
    plan, mask = plan_edit(FRAME, None, ("removal",), 3, RulePlanner(), grounder)
    again = plan_edit(FRAME, None, ("removal",), 3, RulePlanner(), grounder)
    assert plan == again[0] and np.array_equal(mask, again[1])
    named = [o for o in grounder.find(FRAME, ("lamp",)) if o.area <= 0.13]
    assert plan.target == ("lamp" if named else "object")


def test_models_that_are_not_here_are_requirements(tiny):
    config = GrounderConfig(detector="nobody/nothing", segmenter=str(tiny / "sam"))
    first, second = config.requirements()
    assert first.missing() and second.missing() is None
    with pytest.raises(MissingRequirement, match="hf download"):
        make_grounder(config).find(FRAME, ("person",))  # pyright: ignore[reportOptionalMemberAccess]
    assert make_grounder(None) is None
