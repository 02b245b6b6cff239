"""The contract of a forger of faces: a photo of somebody in, a forged photo out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from forensics.faces.base import Face
from forensics.generators.base import Generator
from forensics.generators.image.base import Edited
from forensics.registry import Registry

FaceKind = Literal["faceswap", "selfblend", "regeneration", "fullsynth", "idpreserve", "context"]


@dataclass(frozen=True)
class Portrait:
    """A photo with one face in it.

    Attributes:
        identity: whose face it is.
        pixels: uint8 (H, W, 3) RGB.
        face: the face.
    """

    identity: str
    pixels: np.ndarray
    face: Face


@dataclass(frozen=True)
class FaceRequest:
    """One forgery.

    Attributes:
        key: item key, for messages only.
        seed: drives every random choice; the same request and seed give the same pixels.
        target: the photo to be forged, or that sets the scene.
        donors: photos of the person whose face is put there, or whom the forgery should show; empty
            where the forger needs none.
        prompt: for engines that read words.
    """

    key: str
    seed: int
    target: Portrait
    donors: tuple[Portrait, ...] = ()
    prompt: str = ""


class FaceForger(Generator):
    """One way to forge a face: a generator with a `forge`.

    Attributes:
        donors: who the donors must be: nobody, somebody else than the target, or photos of the
            target's own person.
    """

    kind: ClassVar[FaceKind]
    modality: ClassVar[str] = "image"
    donors: ClassVar[Literal["none", "other", "same"]] = "none"
    reads_prompt: ClassVar[bool] = False

    @abstractmethod
    def forge(self, request: FaceRequest) -> Edited:
        """Carry out one forgery; `Edited.mask` is what was changed by intent.

        Raises:
            ForensicsError: this request cannot be carried out; the reason is counted.
        """


FORGERS: Registry[FaceForger] = Registry(
    "face forger", "forensics.generators.face", "forensics.face_forgers"
)
register_forger = FORGERS.register
