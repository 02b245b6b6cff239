"""Diffusion inpainting with the small network that this project trains on frames."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import cv2
import numpy as np
from pydantic import Field

from forensics.draws import Range, uniform, within
from forensics.generators.base import GeneratorParams
from forensics.generators.image.base import Edited, EditRequest, ImageEditor, register_editor
from forensics.generators.image.blend import feathered, grown, noise, noise_level, pasted, ring
from forensics.generators.image.membrane import solved
from forensics.generators.image.requests import (
    CannotEdit,
    check_request,
    composite,
    cut,
    large_enough,
    widened,
)
from forensics.generators.speech.neural import digest, seeded
from forensics.requirements import LocalWeights, Requirement
from forensics.scenes.regions import Box, box_of

if TYPE_CHECKING:
    from forensics.networks.inpainter import Inpainter

SHIPPED = Path(__file__).parent / "weights" / "inpainter"
_FILES = ("config.json", "model.safetensors")


class OwnInpainterParams(GeneratorParams):
    """Parameters.

    Attributes:
        weights: folder `inpainter/` of a run of `forensics train inpainter`; None takes the one
            that comes with the package, if one does.
        device: a torch device; pixels differ in their last bits between devices.
        threads: CPU threads.
        steps: of DDIM, rounded.
        strength: share of the diffusion; what is below 1 starts from a smooth fill under noise.
        context: what the network sees around the mask on each side, as a share of the mask's longer
            side.
        longest: pixels; where the window is longer, it is reduced to this for the network.
        seam: "gradients" puts the made gradients in by Poisson's equation, so that no step shows,
            "plain" leaves what was sampled; "drawn" takes either.
        noise: share of edits that get the noise of the surroundings.
        grow: pixels by which the mask grows first.
        feather: pixels of the soft border beyond that.
    """

    weights: str | None = None
    device: str = "cpu"
    threads: int = Field(default=1, ge=1)
    steps: Annotated[Range, within(1, 1000)] = (12, 25)
    strength: Annotated[Range, within(0.1, 1)] = (0.4, 1.0)
    context: Annotated[Range, within(0.1, 4)] = (0.5, 1.0)
    longest: int = Field(default=96, ge=32, le=1024)
    seam: Literal["gradients", "plain", "drawn"] = "drawn"
    noise: float = Field(default=0.5, ge=0, le=1)
    grow: Annotated[Range, within(0, 32)] = (1, 4)
    feather: Annotated[Range, within(0, 32)] = (1, 4)


@dataclass(frozen=True)
class _Sampling:
    steps: int
    strength: float
    seed: int


@register_editor
class OwnInpainter(ImageEditor):
    """A window around the mask is reduced to the network's size, its hole sampled, enlarged again
    and pasted back. The network knows no words: it continues what is around.

    Details: `steps`, `strength`, `window` (box), `reduced` (its longer side at the network),
    `seam`, `noise` (standard deviation of what was added), `grow`, `feather`.
    """

    name = "own-inpainter"
    version = "1"
    kind = "inpaint"
    licence = "Apache-2.0 (code); weights: see their config.json"
    summary = "A small diffusion inpainter, trained by this project on frames"
    edits = ("removal", "open-ended-replacement")
    Params: ClassVar[type[GeneratorParams]] = OwnInpainterParams
    params: OwnInpainterParams

    @property
    def _folder(self) -> Path:
        return Path(self.params.weights).expanduser() if self.params.weights else SHIPPED

    def requirements(self) -> tuple[Requirement, ...]:
        source = "forensics train inpainter --source FRAMES --out RUN (its folder RUN/inpainter)"
        return (LocalWeights(str(self._folder), _FILES, source=source),)

    def fingerprint(self) -> str:
        return f"{self.version};{digest(self._folder)}"

    def load(self) -> None:
        from forensics.networks.inpainter import load_inpainter
        from forensics.training.detector.processes import checked_device

        device = checked_device(self.params.device)
        network, _ = load_inpainter(self._folder)
        self._network: Inpainter = network.to(device)

    def edit(self, request: EditRequest) -> Edited:
        check_request(self, request)
        large_enough(self, request.mask)
        rng = np.random.default_rng(request.seed)
        params = self.params
        sampling = _Sampling(
            round(uniform(rng, params.steps)), uniform(rng, params.strength), request.seed
        )
        share = uniform(rng, params.context)
        grow, feather = round(uniform(rng, params.grow)), uniform(rng, params.feather)
        gradients, noisy = bool(rng.random() < 0.5), bool(rng.random() < params.noise)
        if params.seam != "drawn":
            gradients = params.seam == "gradients"
        alpha = feathered(grown(request.mask, grow), feather, "outside")
        touched = alpha > 0
        if touched.all():
            raise CannotEdit(f"{self.name}: nothing is around the mask", "choose a smaller region")

        box = _window(touched, share)
        before, hole = cut(request.pixels, box), cut(touched, box)
        if hole.all():
            raise CannotEdit(f"{self.name}: nothing is around the mask", "choose a smaller region")
        with seeded(request.seed, params.device, params.threads):
            made, side = self._sampled(before, hole, sampling, gradients)
        added = 0.0
        if noisy:
            lacking = noise_level(before, ring(hole)) ** 2 - noise_level(made, hole) ** 2
            added = float(np.sqrt(max(lacking, 0.0)))
            grain = noise(hole.shape, added, float(rng.uniform(0, 0.8)), rng)
            made = np.clip(np.rint(made + grain), 0, 255).astype(np.uint8)
        pixels = request.pixels.copy()
        cut(pixels, box)[:] = pasted(before, made, cut(alpha, box))
        details = {
            "steps": sampling.steps,
            "strength": round(sampling.strength, 3),
            "window": list(box),
            "reduced": side,
            "seam": "gradients" if gradients else "plain",
            "noise": round(added, 3),
            "grow": grow,
            "feather": round(feather, 2),
        }
        return composite(self, request, pixels, touched, details)

    def _sampled(
        self, pixels: np.ndarray, hole: np.ndarray, sampling: _Sampling, gradients: bool
    ) -> tuple[np.ndarray, int]:
        """The window with its hole filled, uint8 (h, w, 3), and its longer side at the network."""
        height, width = hole.shape
        scale = min(1.0, self.params.longest / max(height, width))
        size = (max(round(width * scale), 1), max(round(height * scale), 1))
        small = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=cv2.INTER_AREA)
        inner = cv2.resize(hole.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) > 0
        if inner.all():
            raise CannotEdit(f"{self.name}: nothing is around the mask", "choose a smaller region")
        made = self._at_network(small, inner, sampling)
        if gradients:
            seamless = solved(small, inner, made)
            made = np.clip(np.rint(seamless), 0, 255).astype(np.uint8)
        made = np.where(inner[..., None], made, small)
        if scale < 1:
            made = cv2.resize(made, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.ascontiguousarray(made), max(size)

    def _at_network(self, pixels: np.ndarray, hole: np.ndarray, sampling: _Sampling) -> np.ndarray:
        import torch

        from forensics.networks.inpainter import inpainted

        multiple = self._network.config.multiple
        height, width = hole.shape
        rest = ((0, -height % multiple), (0, -width % multiple))
        device = next(self._network.parameters()).device
        picture = torch.from_numpy(np.pad(pixels, (*rest, (0, 0)), mode="edge"))
        picture = (picture.permute(2, 0, 1)[None].float() / 127.5 - 1).to(device)
        mask = torch.from_numpy(np.pad(hole, rest)).float()[None, None].to(device)
        generator = torch.Generator().manual_seed(sampling.seed % 2**63)
        made = inpainted(self._network, picture, mask, sampling.steps, generator, sampling.strength)
        levels = ((made[0] + 1) * 127.5).round().clamp(0, 255).permute(1, 2, 0)
        return levels.cpu().numpy().astype(np.uint8)[:height, :width]


def _window(mask: np.ndarray, share: float) -> Box:
    """A box around the mask with its context; 32 pixels at least, where the frame has them."""
    left, top, right, bottom = box_of(mask)
    longer = max(right - left, bottom - top)
    margin = max(round(share * longer), (32 - min(right - left, bottom - top)) // 2, 4)
    return widened((left, top, right, bottom), margin, mask.shape)
