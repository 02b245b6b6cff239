"""An image detector that needs no training: red is manipulated. Its scores are worked by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from forensics.detectors.bundle import Bundle, BundleConfig
from forensics.detectors.calibration import Calibration, Threshold
from forensics.detectors.image.base import Finding, ImageDetector
from forensics.detectors.image.planes import Plane
from forensics.media.image import Picture

CALIBRATION = Calibration(scale=2.0, offset=0.0, n_bonafide=99, n_spoof=99, fitted_on="a test")
THRESHOLD = Threshold(
    bonafide_below=0.2,
    manipulated_above=0.8,
    target_fpr=0.02,
    target_fnr=0.05,
    n_bonafide=99,
    n_spoof=99,
    measured_fpr=0.02,
    measured_fpr_interval=(0.0, 0.05),
    origin="a test",
)


class Red(ImageDetector):
    """Raw score: 2 less 100 times the share of red pixels; nothing to say of a 1-pixel side."""

    name, version, licence, summary, paper = "red", "1", "CC0-1.0", "for tests", "none"

    def __init__(self, calibrated: bool = True):
        self.seen: list[str] = []
        if not calibrated:
            return
        config = BundleConfig(
            detector="red",
            detector_version="1",
            architecture={},
            sampling_rate=1,
            window_samples=1,
            calibration=CALIBRATION,
            thresholds=(THRESHOLD,),
            trained_on="nothing",
            licence="CC0-1.0",
            limits="knows one colour",
            weights_sha256="0" * 64,
        )
        self.bundle = Bundle(Path(), config)

    def examine(self, picture: Picture) -> Finding:
        self.seen.append(picture.format)
        if min(picture.height, picture.width) < 2:
            return Finding(None, "1 pixel a side: too small")
        red, green, blue = picture.pixels.astype(np.float32).transpose(2, 0, 1)
        heat = np.clip((red - np.maximum(green, blue)) / 200, 0, 1)
        mask = heat > 0.5
        return Finding(
            2.0 - 100.0 * float(mask.mean()),
            heatmap=Plane.of(heat),
            mask=Plane.of(mask),
            details={"red": mask.sum()},
        )


def scene(height: int = 48, width: int = 64, red: tuple[int, int, int, int] | None = None):
    """uint8 (H, W, 3): grey noise, with a red box (left, top, right, bottom)."""
    grey = np.random.default_rng(height * width).integers(60, 200, (height, width, 1), np.uint8)
    pixels = np.repeat(grey, 3, axis=2)
    if red is not None:
        left, top, right, bottom = red
        pixels[top:bottom, left:right] = (240, 10, 10)
    return pixels
