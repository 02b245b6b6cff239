"""What several classical methods share: brightness, strips, block transforms, sums over cells."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from forensics.detectors.image.base import Finding
from forensics.detectors.image.planes import Plane
from forensics.media.image import Picture

MIN_SIDE = 64
BLOCK = 8


def cannot(reason: str, **details: object) -> Finding:
    """A finding that says why there is none."""
    return Finding(score=None, not_applicable=reason, details=dict(details))


def too_small(picture: Picture, side: int = MIN_SIDE) -> str | None:
    """Why a picture has too few pixels for a method that needs `side` both ways, or None."""
    if min(picture.height, picture.width) >= side:
        return None
    return f"{picture.width}x{picture.height} pixels: too small, {side} a side are needed"


def luma(pixels: np.ndarray) -> np.ndarray:
    """uint8 (H, W, 3) RGB → uint8 (H, W): JPEG's own luma, to the nearest integer.

    A decoded JPEG had integers there before it became RGB, so rounding brings them back.
    """
    import cv2

    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)


def luma_plane(pixels: np.ndarray) -> Plane:
    """The same, drawn when needed."""
    return Plane(pixels.shape[:2], lambda top, bottom: luma(pixels[top:bottom]))


def strips(first: int, last: int, rows: int) -> Iterator[tuple[int, int]]:
    """[first, last) in pieces of `rows`, so that memory does not grow with the picture."""
    for top in range(first, last, rows):
        yield top, min(top + rows, last)


def dct_matrix() -> np.ndarray:
    """float64 (8, 8): the orthonormal DCT-II of JPEG, a basis vector a row."""
    k = np.arange(BLOCK)
    basis = np.cos((2 * k[None, :] + 1) * k[:, None] * np.pi / (2 * BLOCK)) / 2
    basis[0] /= np.sqrt(2)
    return basis


def block_dct(plane: np.ndarray) -> np.ndarray:
    """(H, W) → float32 (H // 8, W // 8, 8, 8): the DCT of each whole block from (0, 0)."""
    down, across = plane.shape[0] // BLOCK, plane.shape[1] // BLOCK
    blocks = plane[: down * BLOCK, : across * BLOCK].reshape(down, BLOCK, across, BLOCK)
    basis = dct_matrix().astype(np.float32)
    return basis @ (blocks.swapaxes(1, 2).astype(np.float32) - 128) @ basis.T


def box_mean(cells: np.ndarray, side: int) -> np.ndarray:
    """Mean over `side` x `side` cells, edges repeated; float32, the size of `cells`."""
    import cv2

    values = np.ascontiguousarray(cells, dtype=np.float32)
    return cv2.blur(values, (side, side), borderType=cv2.BORDER_REPLICATE)


def without_specks(mask: np.ndarray, cells: int) -> np.ndarray:
    """bool (H, W) → the same without connected parts of fewer than `cells`."""
    import cv2

    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    large = stats[:, cv2.CC_STAT_AREA] >= cells
    large[0] = False
    return large[labels.astype(np.intp)]


def recompressed(pixels: np.ndarray, quality: int) -> np.ndarray:
    """uint8 RGB or grey → the same after one JPEG compression (4:4:4) at an IJG quality."""
    import cv2

    settings = [cv2.IMWRITE_JPEG_QUALITY, quality]
    if pixels.ndim == 3:
        settings += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    # The channels' order matters to the colour transform, and OpenCV wants BGR.
    given = np.ascontiguousarray(pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    _, encoded = cv2.imencode(".jpg", given, settings)
    flag = cv2.IMREAD_COLOR if pixels.ndim == 3 else cv2.IMREAD_GRAYSCALE
    decoded = cv2.imdecode(encoded, flag)
    assert decoded is not None  # what was just encoded
    return decoded[..., ::-1] if pixels.ndim == 3 else decoded
