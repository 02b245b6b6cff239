"""What one fixed camera saw: its frames, and the background behind what moves."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class Camera:
    """Frames of one camera, all of one size.

    Attributes:
        frames: uint8 (H, W, 3) RGB each, in order of time; the frame that is edited is one of them.
    """

    frames: tuple[np.ndarray, ...]

    @cached_property
    def plate(self) -> np.ndarray | None:
        """The background, uint8 (H, W, 3): the median over time. None below three frames."""
        if len(self.frames) < 3:
            return None
        return np.median(np.stack(self.frames), axis=0).astype(np.uint8)
