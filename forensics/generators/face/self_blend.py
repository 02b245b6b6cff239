"""Self-blended images: a face is blended onto itself, changed a little.

Shiohara and Yamasaki, "Detecting Deepfakes with Self-Blended Images", CVPR 2022. There either side
of the blend is changed; here always the part that is put in, so that nothing outside of the mask
differs from the photo. Ovals with wavy rims stand for the hull of landmarks.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import cv2
import numpy as np
from pydantic import Field

from forensics.draws import Range, pick, uniform, within
from forensics.faces.align import crop_to_picture
from forensics.generators.base import GeneratorParams
from forensics.generators.face.base import FaceForger, FaceRequest, register_forger
from forensics.generators.face.requests import check_request, composite
from forensics.generators.face.shapes import FaceShape
from forensics.generators.image.base import Edited
from forensics.generators.image.blend import pasted

_RATIOS = (0.25, 0.5, 0.75, 1.0, 1.0, 1.0)  # of the paper: whole blends are as likely as thin ones


class SelfBlendParams(GeneratorParams):
    """Parameters of `self-blend`; the ranges are those of the paper where it gives them.

    Attributes:
        scale: factor on the size of what is put in.
        shift: shares of the face's width that it moves by.
        hue: degrees, saturation: share, value: share that colours change by, each way.
        gain: share that the contrast changes by; offset: grey levels that all colours change by.
        soften: share of forgeries that are made coarser instead of sharper.
    """

    scale: Annotated[Range, within(0.5, 2)] = (0.95, 1.05)
    shift: Annotated[Range, within(0, 0.5)] = (0.0, 0.03)
    hue: Annotated[Range, within(0, 180)] = (0.0, 10.0)
    saturation: Annotated[Range, within(0, 1)] = (0.0, 0.2)
    value: Annotated[Range, within(0, 1)] = (0.0, 0.12)
    gain: Annotated[Range, within(0, 1)] = (0.0, 0.12)
    offset: Annotated[Range, within(0, 128)] = (0.0, 10.0)
    soften: float = Field(default=0.5, ge=0, le=1)


@register_forger
class SelfBlend(FaceForger):
    """The face's own pixels in another colour, sharpness, size and place, blended in.

    Details: `ratio` (how much of the new pixels shows at most), `softened`, `factor` (of coarseness
    or sharpness), `scale`, and those of `FaceShape`.
    """

    name = "self-blend"
    version = "1"
    kind = "selfblend"
    licence = "Apache-2.0"
    summary = "Self-blended image: the face blended onto itself, slightly changed"
    Params: ClassVar[type[GeneratorParams]] = SelfBlendParams
    params: SelfBlendParams

    def forge(self, request: FaceRequest) -> Edited:
        check_request(self, request)
        rng, params = np.random.default_rng(request.seed), self.params
        pixels, face = request.target.pixels, request.target.face
        ratio, part = pick(rng, _RATIOS), pick(rng, ("face", "face", "inner", "eyes", "mouth"))
        shape = FaceShape.draw(rng, part, (0.85, 1.1), (0.1, 0.5), wobble=0.1)
        source = _recoloured(pixels, params, rng)
        softened, factor = bool(rng.random() < params.soften), float(rng.uniform(1.2, 3.0))
        source = _coarser(source, factor) if softened else _sharper(source, factor / 4)
        scale = uniform(rng, params.scale)
        source = self._moved(source, request, scale, rng)

        alpha = shape.alpha(crop_to_picture(face), pixels.shape) * np.float32(ratio)
        details = {
            "ratio": ratio,
            "softened": softened,
            "factor": round(factor, 3),
            "scale": round(scale, 4),
            **shape.details(),
        }
        return composite(self, request, pasted(pixels, source, alpha), alpha > 0, details)

    def _moved(
        self, source: np.ndarray, request: FaceRequest, scale: float, rng: np.random.Generator
    ) -> np.ndarray:
        """Scaled about the middle of the face, and moved a little."""
        left, top, right, bottom = request.target.face.box
        middle = np.array([left + right, top + bottom]) / 2
        angle, far = rng.uniform(0, 2 * np.pi), uniform(rng, self.params.shift) * (right - left)
        by = far * np.array([np.cos(angle), np.sin(angle)])
        move = np.column_stack([np.eye(2) * scale, middle * (1 - scale) + by])
        size = (source.shape[1], source.shape[0])
        return cv2.warpAffine(
            source, move, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )


def _recoloured(
    pixels: np.ndarray, params: SelfBlendParams, rng: np.random.Generator
) -> np.ndarray:
    """uint8 (H, W, 3) in other colours and contrast; grey pictures stay grey."""
    signs = rng.choice([-1.0, 1.0], 5)
    ranges = (params.hue, params.saturation, params.value, params.gain, params.offset)
    hue, saturation, value, gain, offset = (
        float(s) * uniform(rng, r) for s, r in zip(signs, ranges, strict=True)
    )
    hsv = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2HSV)
    hsv[..., 0] = (hsv[..., 0] + hue) % 360
    hsv[..., 1] = np.clip(hsv[..., 1] * (1 + saturation), 0, 1)
    hsv[..., 2] = hsv[..., 2] * (1 + value)
    rgb = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    mean = float(rgb.mean())
    return np.clip(np.rint((rgb - mean) * (1 + gain) + mean + offset), 0, 255).astype(np.uint8)


def _coarser(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Down by a factor and up again."""
    height, width = pixels.shape[:2]
    small = (max(round(width / factor), 1), max(round(height / factor), 1))
    down = cv2.resize(pixels, small, interpolation=cv2.INTER_AREA)
    return cv2.resize(down, (width, height), interpolation=cv2.INTER_LINEAR)


def _sharper(pixels: np.ndarray, amount: float) -> np.ndarray:
    """Unsharp masking."""
    fine = pixels.astype(np.float32)
    made = fine + amount * (fine - cv2.GaussianBlur(fine, (0, 0), 1.5))
    return np.clip(np.rint(made), 0, 255).astype(np.uint8)
