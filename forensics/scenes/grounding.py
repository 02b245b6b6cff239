"""Things found by their names: a zero-shot detector, and a segmenter for their outlines."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Protocol

import numpy as np
from pydantic import Field

from forensics.requirements import Requirement, SafetensorsModel
from forensics.scenes.objects import LEAST_AREA, SceneObject
from forensics.scenes.pretrained import Placed, load_pretrained, weights_digest
from forensics.scenes.regions import Box, box_of, outlined_near

_MOST_OBJECTS = 32


class Grounder(Protocol):
    """Finds named things in a frame."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What to look for in a frame of which nothing is known."""
        ...

    def find(self, pixels: np.ndarray, labels: tuple[str, ...]) -> tuple[SceneObject, ...]:
        """Things of those names in uint8 (H, W, 3), the surest first."""
        ...

    def outline(self, pixels: np.ndarray, box: Box) -> np.ndarray:
        """bool (H, W), not empty: what is in a box."""
        ...


class GrounderConfig(Placed):
    """A detector, with or without a segmenter.

    Attributes:
        detector: a zero-shot detector (OWL, OWLv2, Grounding DINO): a local folder, or a hub id
            that is in the local cache.
        segmenter: a SAM-class model; GrabCut where there is none.
        labels: what is looked for in every frame.
        threshold: least score of a detection.
    """

    detector: str
    segmenter: str | None = None
    labels: tuple[str, ...] = Field(
        default=("person", "car", "truck", "bus", "motorcycle", "bicycle", "bag", "dog", "chair"),
        min_length=1,
    )
    threshold: float = Field(default=0.25, ge=0.0, le=1.0)

    def requirements(self) -> tuple[Requirement, ...]:
        found = [SafetensorsModel(self.detector, "detector", "google/owlv2-base-patch16-ensemble")]
        if self.segmenter is not None:
            found.append(SafetensorsModel(self.segmenter, "segmenter", "facebook/sam-vit-base"))
        return tuple(found)

    def fingerprint(self) -> str:
        models = [m for m in (self.detector, self.segmenter) if m is not None]
        return "-".join(["grounder-1", *map(weights_digest, models)])


class TransformersGrounder:
    """Both models load on first use."""

    def __init__(self, config: GrounderConfig):
        self._config = config

    @property
    def labels(self) -> tuple[str, ...]:
        return self._config.labels

    def find(self, pixels: np.ndarray, labels: tuple[str, ...]) -> tuple[SceneObject, ...]:
        found = []
        for box, label, score in self._detections(pixels, labels)[:_MOST_OBJECTS]:
            mask = self.outline(pixels, box)
            if mask.mean() >= LEAST_AREA:
                found.append(SceneObject(mask, box_of(mask), label, score, "grounder"))
        return tuple(found)

    def outline(self, pixels: np.ndarray, box: Box) -> np.ndarray:
        if self._config.segmenter is None:
            return outlined_near(pixels, box)
        mask = self._segmented(pixels, box)
        return mask if mask.any() else outlined_near(pixels, box)

    def _detections(
        self, pixels: np.ndarray, labels: tuple[str, ...]
    ) -> list[tuple[Box, str, float]]:
        """Boxes inside of the frame, with label and score, the surest first."""
        import torch

        network, processor = self._detector
        height, width = pixels.shape[:2]
        asked = [label.replace(".", " ").strip().lower() for label in labels]
        inputs = processor(images=[pixels], text=[asked], return_tensors="pt")
        inputs = inputs.to(self._config.device, dtype=network.dtype)
        with torch.inference_mode():
            outputs = network(**inputs)
        result = processor.post_process_grounded_object_detection(
            outputs,
            threshold=self._config.threshold,
            target_sizes=[(height, width)],
            text_labels=[asked],
        )[0]
        found = []
        rows = zip(
            result["boxes"].tolist(), result["text_labels"], result["scores"].tolist(), strict=True
        )
        for corners, label, score in rows:
            box = _inside(corners, width, height)
            if box is not None:
                found.append((box, label or asked[0], round(float(score), 4)))
        return sorted(found, key=lambda row: (-row[2], row[0]))

    def _segmented(self, pixels: np.ndarray, box: Box) -> np.ndarray:
        import torch

        network, processor = self._segmenter
        inputs = processor(
            images=[pixels], input_boxes=[[[float(v) for v in box]]], return_tensors="pt"
        )
        sizes = [inputs.pop(n) for n in ("original_sizes", "reshaped_input_sizes") if n in inputs]
        inputs = inputs.to(self._config.device, dtype=network.dtype)
        with torch.inference_mode():
            outputs = network(**inputs, multimask_output=False)
        masks = processor.post_process_masks(outputs.pred_masks.float().cpu(), *sizes)[0]
        return masks.reshape(-1, *pixels.shape[:2])[0].numpy().astype(bool)

    @cached_property
    def _detector(self) -> tuple[Any, Any]:
        return load_pretrained(
            "AutoModelForZeroShotObjectDetection", self._config.detector, self._config
        )

    @cached_property
    def _segmenter(self) -> tuple[Any, Any]:
        assert self._config.segmenter is not None
        return load_pretrained("AutoModelForMaskGeneration", self._config.segmenter, self._config)


def make_grounder(config: GrounderConfig | None) -> Grounder | None:
    """The grounder that a recipe asks for; None without one."""
    return None if config is None else TransformersGrounder(config)


def _inside(corners: list[float], width: int, height: int) -> Box | None:
    """A detector's box in whole pixels, cut to the frame; None where nothing is left."""
    if not np.isfinite(corners).all():
        return None
    left, top = max(int(corners[0]), 0), max(int(corners[1]), 0)
    right, bottom = min(int(np.ceil(corners[2])), width), min(int(np.ceil(corners[3])), height)
    return (left, top, right, bottom) if left < right and top < bottom else None
