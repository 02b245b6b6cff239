"""From a frame to a plan and a mask."""

from __future__ import annotations

import numpy as np

from forensics.draws import log_uniform, pick
from forensics.scenes.camera import Camera
from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.errors import SceneError
from forensics.scenes.grounding import Grounder
from forensics.scenes.masks import SHAPES, around, drawn
from forensics.scenes.objects import MOST_AREA, SceneObject, find_objects
from forensics.scenes.regions import Box, box_of, outlined_near, overlap
from forensics.scenes.scene import Planner, Scene

_SAME_OBJECT = 0.4  # overlap of a planned box with an object's, above which that object is meant
_GROWTH = (1.1, 2.5)  # of a mask over its object


def plan_edit(
    pixels: np.ndarray,
    camera: Camera | None,
    allowed: tuple[EditType, ...],
    seed: int,
    planner: Planner,
    grounder: Grounder | None = None,
    objects: tuple[SceneObject, ...] | None = None,
) -> tuple[EditPlan, np.ndarray]:
    """Find what is in a frame, have an edit planned, and make its mask.

    A mask around an object covers it and a margin; a mask of an addition fills the planned box.
    Shapes (outline, ellipse, box, blob) and margins are drawn.

    Args:
        pixels: uint8 (H, W, 3).
        camera: the frames of its camera, where there are more.
        allowed: edit types to choose from, not empty.
        seed: drives every draw: the same arguments give the same plan and mask.
        planner: decides what is changed.
        grounder: finds things by name; without one things are found by motion, else by what
            stands out.
        objects: what `scene_objects` found in this frame, where that was asked before.

    Returns:
        The plan, its box the bounds of the mask, and the mask, bool (H, W), never empty.

    Raises:
        SceneError: there is nothing to edit here, or the planner failed; `reason` is countable.
    """
    rng = np.random.default_rng(seed)
    if objects is None:
        objects = scene_objects(pixels, camera, grounder)
    scene = Scene(pixels, objects, allowed)
    plan = planner.plan(scene, rng)
    if plan.edit not in allowed:
        raise SceneError(
            "planner: an edit that is not allowed", f"planner: {plan.edit} is not allowed"
        )
    height, width = pixels.shape[:2]
    if plan.box[2] > width or plan.box[3] > height:
        raise SceneError("planner: a box outside of the frame")
    mask = (
        _added(plan.box, scene, rng)
        if plan.edit == "addition"
        else _covered(plan, scene, grounder, rng)
    )
    return plan.model_copy(update={"box": box_of(mask)}), mask


def _added(box: Box, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    shape = pick(rng, SHAPES)
    lent = pick(rng, scene.objects).mask if scene.objects else None
    return drawn(box, shape, scene.pixels.shape, rng, outline=lent)


def scene_objects(
    pixels: np.ndarray, camera: Camera | None, grounder: Grounder | None
) -> tuple[SceneObject, ...]:
    """What can be edited: the grounder's things that are not too large, else what moved."""
    named = grounder.find(pixels, grounder.labels) if grounder else ()
    return tuple(o for o in named if o.area <= MOST_AREA) or find_objects(pixels, camera)


def _covered(
    plan: EditPlan, scene: Scene, grounder: Grounder | None, rng: np.random.Generator
) -> np.ndarray:
    """Around the object that the plan means; where none was found, around what is in its box."""
    meant = _meant(plan.box, scene.objects)
    if meant is None and grounder:
        meant = _meant(plan.box, grounder.find(scene.pixels, (plan.target,)))
    if meant is not None:
        outline = meant.mask
    elif grounder:
        outline = grounder.outline(scene.pixels, plan.box)
    else:
        outline = outlined_near(scene.pixels, plan.box)
    return around(outline, pick(rng, SHAPES), log_uniform(rng, _GROWTH), rng)


def _meant(box: Box, objects: tuple[SceneObject, ...]) -> SceneObject | None:
    if not objects:
        return None
    best = max(objects, key=lambda o: overlap(o.box, box))
    return best if overlap(best.box, box) >= _SAME_OBJECT else None
