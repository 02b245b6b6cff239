"""The planner without weights: what is free is drawn, every choice equally likely."""

from __future__ import annotations

import math
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import yaml

from forensics.draws import log_uniform, pick
from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.errors import SceneError
from forensics.scenes.masks import AREAS
from forensics.scenes.regions import Box
from forensics.scenes.scene import Scene

_ATTEMPTS = 12
_SURFACES = ("ground", "floor", "wall")
# Of the frame, for boxes: a mask covers three quarters of its box, about, and all of it at most.
_BOX_AREAS = (AREAS[0] / 0.75, AREAS[1])
_NOTHING: dict[EditType, str] = {
    "removal": "no object to remove",
    "targeted-replacement": "no object to replace",
    "open-ended-replacement": "no object to replace",
    "addition": "no free spot to add to",
}


@cache
def words() -> dict[str, Any]:
    """`words.yaml`: things with their sizes, replacements, instructions."""
    text = files("forensics.scenes").joinpath("words.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


class RulePlanner:
    """Draws an allowed edit, then an object or a free spot, then the words.

    An edit for which a frame has nothing gives way to another allowed one.
    """

    name = "rules"

    def plan(self, scene: Scene, rng: np.random.Generator) -> EditPlan:
        order = [scene.allowed[i] for i in rng.permutation(len(scene.allowed))]
        for edit in order:
            made = self._addition(scene, rng) if edit == "addition" else self._on(scene, edit, rng)
            if made is not None:
                return made
        raise SceneError(_NOTHING[order[0]])

    def _on(self, scene: Scene, edit: EditType, rng: np.random.Generator) -> EditPlan | None:
        """An edit of an object; None where there is no object."""
        if not scene.objects:
            return None
        found = pick(rng, scene.objects)
        table = words()["replacements"]
        replacement = {
            "removal": "",
            "targeted-replacement": pick(rng, table.get(found.label, table["other"])),
            "open-ended-replacement": words()["open_ended"],
        }[edit]
        return self._plan(edit, found.label, replacement, found.box, rng)

    def _addition(self, scene: Scene, rng: np.random.Generator) -> EditPlan | None:
        """Something of drawn size on a free spot; None where nothing drawn fits."""
        height, width = scene.pixels.shape[:2]
        for _ in range(_ATTEMPTS):
            surface = pick(rng, _SURFACES)
            thing = pick(rng, words()["things"][surface])
            area = log_uniform(rng, _BOX_AREAS) * height * width
            aspect = thing["aspect"] * math.exp(rng.uniform(-0.25, 0.25))
            size = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            box = scene.spots.find(
                max(size[0], 1),
                max(size[1], 1),
                rng,
                metres=thing.get("metres"),
                rows=tuple(thing.get("rows", (0.0, 1.0))),
            )
            if box is not None:
                return self._plan("addition", surface, thing["name"], box, rng)
        return None

    def _plan(
        self, edit: EditType, target: str, replacement: str, box: Box, rng: np.random.Generator
    ) -> EditPlan:
        template = pick(rng, words()["instructions"][edit])
        instruction = template.format(target=target, replacement=replacement)
        return EditPlan(
            edit=edit,
            target=target,
            replacement=replacement,
            instruction=instruction,
            box=box,
            planner=self.name,
        )
