"""What every edit starts from: the frame's camera, what is in it, a plan and a mask."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forensics.corpus.images.cameras import Cameras
from forensics.corpus.images.frame import FrameReader
from forensics.corpus.images.plan import ImagePlan, PlannedFrame
from forensics.scenes.camera import Camera
from forensics.scenes.edit_plan import EditPlan, EditType
from forensics.scenes.grounding import make_grounder
from forensics.scenes.objects import SceneObject
from forensics.scenes.planners import make_planner
from forensics.scenes.planning import plan_edit, scene_objects
from forensics.scenes.realism import make_realism

PLANNER, REALISM = "planner", "realism"


class Scenes:
    """What a worker keeps between shards: a reader, cameras, planner, grounder, realism filter.

    Attributes:
        unloaded: which of planner and realism filter are models that load when they are first
            asked, and were not yet.
    """

    def __init__(self, plan: ImagePlan, source_root: Path):
        import cv2

        cv2.setNumThreads(1)  # one core a worker, as the supervisor asks of all other libraries
        recipe = plan.recipe
        self.reader = FrameReader(source_root, recipe.frames)
        self.realism = make_realism(recipe.realism)
        self._cameras = Cameras(plan, self.reader)
        self._planner = make_planner(recipe.planner)
        self._grounder = make_grounder(recipe.grounder)
        models = {PLANNER: recipe.grounder or recipe.planner.use == "vlm", REALISM: recipe.realism}
        self.unloaded = {name for name, model in models.items() if model}
        self._seen: tuple[str, tuple[SceneObject, ...]] | None = None

    def plan(
        self,
        planned: PlannedFrame,
        pixels: np.ndarray,
        allowed: tuple[EditType, ...],
        seed: int,
    ) -> tuple[Camera | None, EditPlan, np.ndarray]:
        """The camera, one edit of the frame, and where: see `plan_edit`.

        Raises:
            SceneError: there is nothing to edit, or the planner failed.
            MediaError: a frame of the camera is not what it was.
        """
        camera = self._cameras.of(planned)
        if self._seen is None or self._seen[0] != planned.source.id:
            self._seen = planned.source.id, scene_objects(pixels, camera, self._grounder)
        objects = self._seen[1]
        plan, mask = plan_edit(
            pixels, camera, allowed, seed, self._planner, self._grounder, objects
        )
        return camera, plan, mask
