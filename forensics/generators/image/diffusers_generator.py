"""What every engine through diffusers has: it finds, checks and loads a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from forensics.generators.base import Generator
from forensics.generators.image.diffusers_params import PipelineParams
from forensics.generators.image.diffusers_pipeline import Pipeline, Takes
from forensics.generators.image.diffusers_weights import PipelineWeights, identity
from forensics.requirements import Package, Requirement


class DiffusersGenerator(Generator):
    """A generator with a pipeline.

    Attributes:
        takes: what its pipelines are given besides words.
        example: a hub id, for messages.
    """

    licence = "Apache-2.0 (diffusers); weights: see parameter weights_licence"
    takes: ClassVar[Takes]
    example: ClassVar[str]
    params: PipelineParams

    def requirements(self) -> tuple[Requirement, ...]:
        needed: tuple[Requirement, ...] = (Package("diffusers", "diffusers>=0.40"), self._weights())
        if self.params.offload != "none":
            needed += (Package("accelerate", "accelerate"),)
        return needed

    def fingerprint(self) -> str:
        if self.params.hub:  # the commit is known before anything is downloaded
            return f"{self.version}-{self.params.revision}"
        return f"{self.version}-{identity(self._weights().folder())}"

    def load(self) -> None:
        folder = self._weights().folder()
        self._origin = _origin(self.params, folder)
        self._pipeline = Pipeline(folder, self.params, self.takes)

    @property
    def loaded(self) -> Pipeline:
        """The pipeline, after `load`."""
        return self._pipeline

    @property
    def origin(self) -> dict[str, Any]:
        """Details of every item: which weights, and under what licence."""
        return self._origin

    def _weights(self) -> PipelineWeights:
        named = self.params
        return PipelineWeights(
            named.weights, named.revision, named.variant, named.hub, example=self.example
        )


def _origin(params: PipelineParams, folder: Path) -> dict[str, Any]:
    """Of a local folder its name only: paths are nobody's business."""
    local = params.weights is not None and Path(params.weights).expanduser().is_dir()
    return {
        "weights": folder.name if local else params.weights,
        "weights_id": identity(folder),
        "weights_licence": params.weights_licence,
    }
