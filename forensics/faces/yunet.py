"""YuNet, a small face detector with landmarks, from a user's ONNX file.

Wu, Peng and Yu, "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence
Research 2023. The file is in OpenCV's model zoo (MIT). OpenCV 5 reads only the one with dynamic
shapes (face_detection_yunet_2026may.onnx), OpenCV 4 the older ones as well.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from forensics.errors import UsageError
from forensics.faces.base import Face, FaceLocator
from forensics.faces.files import model_file, sha256
from forensics.faces.pictures import area, boxed, check_picture

_SOURCE = "face_detection_yunet_2026may.onnx of github.com/opencv/opencv_zoo (MIT)"
_OVERLAP, _MOST = 0.3, 5000


class YuNet(FaceLocator):
    """Faces with five landmarks, down to about 10 pixels, turned heads among them.

    Args:
        model: the ONNX file.
        least_score: in 0..1.
        longest: pixels; larger pictures are scaled down to this side first.

    Raises:
        MissingRequirement: no such file.
        UsageError: a file that this OpenCV does not read as YuNet.
    """

    def __init__(self, model: Path | None, least_score: float = 0.7, longest: int = 1280):
        path = model_file(model, "YuNet", _SOURCE)
        self._least_score, self._longest, self._digest = least_score, longest, sha256(path)
        self._name = path.name
        try:
            self._detector = cv2.FaceDetectorYN.create(
                str(path), "", (320, 320), least_score, _OVERLAP, _MOST
            )
            self._found(np.zeros((64, 96, 3), np.uint8))  # some files load and then do not run
        except cv2.error as error:
            raise self._unusable(error) from error

    def locate(self, pixels: np.ndarray) -> list[Face]:
        """As `FaceLocator.locate`, with five landmarks.

        Raises:
            UsageError: not uint8 (H, W, 3), or the model fails.
        """
        check_picture(pixels)
        scale = min(1.0, self._longest / max(pixels.shape[:2]))
        small = np.ascontiguousarray(pixels[..., ::-1])
        if scale < 1:
            small = cv2.resize(small, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        try:
            rows = self._found(small)
        except cv2.error as error:
            raise self._unusable(error) from error
        faces = []
        for row in rows:
            left, top, width, height = row[:4] / scale
            box = boxed(left, top, left + width, top + height, pixels.shape)
            if box is not None:
                points = (row[4:14].reshape(5, 2) / scale).astype(np.float32)
                faces.append(Face(box, points, round(float(np.clip(row[14], 0, 1)), 4)))
        return sorted(faces, key=area, reverse=True)

    def fingerprint(self) -> str:
        return f"yunet-1-{self._least_score}-{self._longest}-{self._digest}"

    def _found(self, bgr: np.ndarray) -> np.ndarray:
        """float32 (N, 15): left, top, width, height, five points, score."""
        self._detector.setInputSize((bgr.shape[1], bgr.shape[0]))
        _, rows = self._detector.detect(bgr)
        return np.zeros((0, 15), np.float32) if rows is None else rows

    def _unusable(self, error: cv2.error) -> UsageError:
        why = " ".join(str(error).split())[:200]
        return UsageError(
            f"OpenCV {cv2.__version__} does not read {self._name} as YuNet ({why})",
            f"OpenCV 5 needs the file with dynamic shapes: {_SOURCE}",
        )
