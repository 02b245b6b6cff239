"""The contract of an image editor: a frame, a mask and a plan in, an edited frame out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import numpy as np

from forensics.generators.base import Generator
from forensics.registry import Registry
from forensics.scenes.camera import Camera
from forensics.scenes.edit_plan import EditPlan, EditType

ImageKind = Literal["copymove", "splice", "removal", "inpaint", "regeneration", "instruction"]
EditMode = Literal["composite", "regenerated"]


@dataclass(frozen=True)
class EditRequest:
    """One edit.

    Attributes:
        key: item key, for messages only.
        seed: drives every random choice; the same request and seed give the same pixels.
        pixels: uint8 (H, W, 3) RGB: the pristine frame.
        mask: bool (H, W): where the change is wanted, never empty.
        plan: what is wanted there.
        camera: other frames of the same camera, where there are some.
    """

    key: str
    seed: int
    pixels: np.ndarray
    mask: np.ndarray
    plan: EditPlan
    camera: Camera | None = None


@dataclass(frozen=True)
class Edited:
    """An edited frame.

    Attributes:
        pixels: uint8 (H, W, 3), the size of the request.
        mask: bool (H, W): what was changed by intent. In composite mode nothing else differs from
            the request; in regenerated mode every pixel may.
        mode: `composite` (the edit was pasted back) or `regenerated` (the editor made all pixels).
        details: what was drawn, JSON-safe.
    """

    pixels: np.ndarray
    mask: np.ndarray
    mode: EditMode
    details: dict[str, Any] = field(default_factory=dict)


class ImageEditor(Generator):
    """One way to forge an image: a generator with an `edit`.

    Attributes:
        edits: the edit types that it can carry out.
        needs_camera: whether it needs other frames of the same camera.
        least_frames: how many frames of a camera it needs in all, the edited one among them.
        reads_instruction: whether words change what it makes.
    """

    kind: ClassVar[ImageKind]
    modality: ClassVar[str] = "image"
    edits: ClassVar[tuple[EditType, ...]]
    needs_camera: ClassVar[bool] = False
    least_frames: ClassVar[int] = 1
    reads_instruction: ClassVar[bool] = False

    @abstractmethod
    def edit(self, request: EditRequest) -> Edited:
        """Carry out one edit.

        Raises:
            ForensicsError: this request cannot be carried out; the reason is counted.
        """


EDITORS: Registry[ImageEditor] = Registry(
    "editor", "forensics.generators.image", "forensics.editors"
)
register_editor = EDITORS.register
