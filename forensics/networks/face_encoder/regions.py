"""Where the parts of a face lie: which patches of a crop touch which part.

Parts come from a parsing map of the user's, or from a template. The template is ours: ellipses and
strips drawn once on an upright frontal face, laid over each face by its alignment. It knows neither
beards nor hats nor turned heads, and hair is just what surrounds the upper face.
"""

from __future__ import annotations

import numpy as np

# Labels of a parsing map, as FACER names the parts (FSFM, CVPR 2025, masks by them).
BACKGROUND, SKIN, BROWS, EYES, NOSE, MOUTH, HAIR = 0, 1, (2, 3), (4, 5), 6, (7, 8, 9), 10
LABELS = 11

REGIONS = ("brows", "eyes", "nose", "mouth", "boundary", "hair", "skin", "background")
COVERED_WHOLE = 6
"""The first so many regions may be covered as a whole: skin and background are too large."""
_OF_LABEL = {"brows": BROWS, "eyes": EYES, "nose": (NOSE,), "mouth": MOUTH, "hair": (HAIR,)}
_OF_LABEL |= {"skin": (SKIN,), "background": (BACKGROUND,)}

# Centre x, y and half axes, in pixels of the 112 x 112 crops that faces are aligned to.
_FACE = (56.0, 66.0, 44.0, 58.0)
_HEAD = (56.0, 56.0, 62.0, 76.0)
_HAIRLINE = 26.0
_PARTS = (
    (NOSE, (56.0, 68.0, 10.0, 18.0)),
    (MOUTH[1], (56.0, 92.4, 17.0, 8.0)),
    (EYES[0], (38.3, 51.7, 11.0, 6.0)),
    (EYES[1], (73.5, 51.5, 11.0, 6.0)),
    (BROWS[0], (38.3, 40.5, 13.0, 4.0)),
    (BROWS[1], (73.5, 40.5, 13.0, 4.0)),
)


def template(points: np.ndarray) -> np.ndarray:
    """The part of the face that lies at each point.

    Args:
        points: float (…, 2), x and y in pixels of the aligned crop; any, also far outside.

    Returns:
        uint8 (…), labels of a parsing map.
    """
    parts = np.full(points.shape[:-1], BACKGROUND, np.uint8)
    parts[_inside(points, _HEAD) & (points[..., 1] < _FACE[1])] = HAIR
    parts[_inside(points, _FACE) & (points[..., 1] > _HAIRLINE)] = SKIN
    for label, ellipse in _PARTS:
        parts[_inside(points, ellipse)] = label
    return parts


def _inside(points: np.ndarray, ellipse: tuple[float, float, float, float]) -> np.ndarray:
    x, y, across, down = ellipse
    return ((points[..., 0] - x) / across) ** 2 + ((points[..., 1] - y) / down) ** 2 <= 1


def touching(parsing: np.ndarray, patch: int) -> np.ndarray:
    """Which patches touch which region.

    A patch touches a region when one of its pixels does; the boundary of the face are the patches
    with both skin and hair or background. So a patch may touch several, and touches one at least.

    Args:
        parsing: uint8 (side, side), labels below 11; patch: a divisor of the side.

    Returns:
        bool (8, N) in the order of `REGIONS`, patches by rows.
    """
    grid = parsing.shape[0] // patch
    cells = parsing.reshape(grid, patch, grid, patch).swapaxes(1, 2).reshape(grid * grid, -1)
    has = np.stack([(cells == label).any(1) for label in range(LABELS)])
    found = []
    for region in REGIONS:
        if region == "boundary":
            found.append(has[SKIN] & (has[HAIR] | has[BACKGROUND]))
        else:
            found.append(has[list(_OF_LABEL[region])].any(0))
    return np.stack(found)
