"""A planner that asks a vision-language model for a plan in JSON."""

from __future__ import annotations

import numpy as np

from forensics.draws import pick
from forensics.scenes.answers import AnswerError, read_answer
from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.errors import SceneError
from forensics.scenes.prompts import prompts
from forensics.scenes.scene import Scene
from forensics.scenes.vlm import Turn, Vlm, VlmConfig

_QUOTED = 2000  # characters of a bad answer that are shown to the model again


class VlmPlanner:
    """The edit type is drawn, so that all come up; the model chooses the rest.

    An answer that holds no valid plan is answered once with what is wrong in it.
    """

    def __init__(self, config: VlmConfig):
        self.name = "vlm"
        self._vlm = Vlm(config)

    def plan(self, scene: Scene, rng: np.random.Generator) -> EditPlan:
        edit = pick(rng, scene.allowed)
        seed = int(rng.integers(2**31))
        height, width = scene.pixels.shape[:2]
        talk = [Turn("user", _question(scene, edit), (scene.pixels,))]
        said = self._vlm.answer(talk, seed)
        try:
            return read_answer(said, edit, width, height, self.name)
        except AnswerError as error:
            # Some templates refuse a message without words.
            talk.append(Turn("assistant", said[:_QUOTED].strip() or "…"))
            talk.append(Turn("user", prompts()["retry"].format(error=error)))
        said = self._vlm.answer(talk, seed + 1)
        try:
            return read_answer(said, edit, width, height, self.name)
        except AnswerError as error:
            raise SceneError("planner: no valid plan", f"planner: {error}") from error


def _question(scene: Scene, edit: EditType) -> str:
    words = prompts()
    height, width = scene.pixels.shape[:2]
    scale = np.array([width, height, width, height]) / 1000
    listed = [
        f"{o.label} {np.round(np.array(o.box) / scale).astype(int).tolist()}" for o in scene.objects
    ]
    seen = words["seen"].format(list="; ".join(listed)) if listed else words["nothing_seen"]
    return words["plan"].format(
        task=words["tasks"][edit],
        objects=seen,
        edit=edit,
        target=words["targets"][edit],
        replacement=words["replacements"][edit],
    )
