"""One inpainter in the making, and what it makes of scenes that it did not see."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from forensics.networks.inpainter import Inpainter, InpainterQuality, inpainted, scheduler
from forensics.training.detector.processes import Processes
from forensics.training.inpainter.config import InpainterConfig
from forensics.training.inpainter.crops import Holed
from forensics.training.stepping import Stepper

_MOST_WEIGHT = 5.0
_TIMES = (50, 200, 400, 600, 800, 950)  # thousandths of the diffusion at which looks are taken


class InpainterStepper(Stepper):
    """The loss is the squared error of the clean picture, mostly within the hole.

    It counts more the less noise there is, up to `_MOST_WEIGHT` times: else smooth means win.
    """

    network: Inpainter

    def __init__(self, config: InpainterConfig, device: torch.device):
        torch.manual_seed(config.seed)
        self.config = config
        self.plan = scheduler(config.network)
        super().__init__(
            Inpainter(config.network),
            config.fit,
            config.fit.steps,
            config.seed,
            Processes(device),
            nn.Module(),
        )

    def _loss(self, batch: Holed) -> Tensor:
        count = len(batch.pictures)
        times = torch.randint(0, self.config.network.timesteps, (count,))
        with self.autocast():
            return self._error(self.network, batch, times.to(batch.pictures.device))

    def look(self, batch: Holed) -> float:
        """The loss of the weights that are kept, at fixed times with fixed noise."""
        network = self.judged
        assert isinstance(network, Inpainter)
        network.eval()
        errors = []
        with torch.random.fork_rng(devices=[]), torch.inference_mode():
            torch.manual_seed(0)
            for thousandth in _TIMES:
                time = thousandth * self.config.network.timesteps // 1000
                times = torch.full((len(batch.pictures),), time, device=self.among.device)
                errors.append(float(self._error(network, batch.to(self.among.device), times)))
        return float(np.mean(errors))

    def _error(self, network: nn.Module, batch: Holed, times: Tensor) -> Tensor:
        pictures, masks = batch.pictures, batch.masks
        noise = torch.randn(pictures.shape).to(pictures.device)
        noisy = self.plan.add_noise(pictures, noise, times)
        off = (network(noisy, pictures, masks, times).float() - pictures).square().mean(dim=1)
        kept = self.plan.alphas_cumprod.to(times.device)[times]
        urgency = (1 / (1 - kept)).clamp(max=_MOST_WEIGHT)[:, None, None]
        weight = (masks[:, 0] + self.config.fit.known * (1 - masks[:, 0])) * urgency
        return (weight * off).sum() / weight.sum()


def filled_crops(network: Inpainter, batch: Holed, steps: int) -> np.ndarray:
    """The crops with their holes filled, uint8 (B, side, side, 3), always with the same draws."""
    device = next(network.parameters()).device
    generator = torch.Generator().manual_seed(0)
    made = inpainted(network, batch.pictures.to(device), batch.masks.to(device), steps, generator)
    masks = batch.masks
    return as_pixels(masks * made.cpu() + (1 - masks) * batch.pictures)


def as_pixels(pictures: Tensor) -> np.ndarray:
    """(B, 3, H, W) in -1..1 → uint8 (B, H, W, 3)."""
    levels = ((pictures + 1) * 127.5).round().clamp(0, 255)
    return levels.permute(0, 2, 3, 1).cpu().numpy().astype(np.uint8)


def measured(network: Inpainter, batch: Holed, steps: int, scenes: int) -> InpainterQuality:
    """Fill the holes of held-out crops and compare with what was there."""
    truth = as_pixels(batch.pictures)
    holes = batch.masks[:, 0].numpy() > 0
    ours = filled_crops(network, batch, steps)
    telea = np.stack(
        [
            cv2.inpaint(picture, hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
            for picture, hole in zip(truth, holes, strict=True)
        ]
    )
    detail = _detail(truth, holes)
    return InpainterQuality(
        crops=len(truth),
        scenes=scenes,
        difference=round(_difference(ours, truth, holes), 2),
        telea_difference=round(_difference(telea, truth, holes), 2),
        detail=round(_detail(ours, holes) / detail, 3),
        telea_detail=round(_detail(telea, holes) / detail, 3),
    )


def _difference(one: np.ndarray, two: np.ndarray, holes: np.ndarray) -> float:
    return float(np.abs(one.astype(np.float32) - two)[holes].mean())


def _detail(pictures: np.ndarray, holes: np.ndarray) -> float:
    edges = np.stack([cv2.Laplacian(one, cv2.CV_32F) for one in pictures])
    return max(float(edges[holes].std()), 1e-6)
