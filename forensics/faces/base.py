"""The contracts of what finds faces and of what compares them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

CROP_SIDE = 112


@dataclass(frozen=True)
class Face:
    """One face in a picture.

    Attributes:
        box: left, top, right, bottom in pixels; right and bottom lie just outside. Inside the
            picture, never empty.
        landmarks: float32 (K, 2) x and y in pixels, or None where nobody looked for them. K is 2
            (the eyes) or 5 (eyes, nose, corners of the mouth); what is left in the picture first.
        confidence: in [0, 1]; None where the locator gives none.
    """

    box: tuple[int, int, int, int]
    landmarks: np.ndarray | None = None
    confidence: float | None = None


@dataclass(frozen=True)
class FaceCrop:
    """A face made upright, at the size that embedders take.

    Attributes:
        pixels: uint8 (112, 112, 3) RGB, eyes level at the places of the ArcFace template.
        face: where it is from.
        to_picture: float32 (2, 3): affine map from points of the crop to points of the picture.
    """

    pixels: np.ndarray
    face: Face
    to_picture: np.ndarray


class FaceLocator(ABC):
    """Finds faces."""

    @abstractmethod
    def locate(self, pixels: np.ndarray) -> list[Face]:
        """Faces in uint8 (H, W, 3) RGB, largest first; an empty list where there are none."""

    @abstractmethod
    def fingerprint(self) -> str:
        """What its answers depend on: name, version, hash of a model."""


class FaceEmbedder(ABC):
    """Maps upright faces to vectors whose dot product says how alike two faces are."""

    @abstractmethod
    def embed(self, crops: np.ndarray) -> np.ndarray:
        """Unit vectors, float32 (N, D), of crops uint8 (N, 112, 112, 3) RGB."""

    @abstractmethod
    def fingerprint(self) -> str:
        """As of a locator: vectors of two fingerprints are never compared."""
