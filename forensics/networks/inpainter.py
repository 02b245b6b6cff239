"""A small diffusion model that fills holes of pictures, and its folder.

A denoising diffusion model (Ho et al. 2020) in pixels, conditioned on the picture without its hole
and on the mask by further input channels, as latent inpainting models are, and sampled with DDIM
(Song et al. 2021). It predicts the clean picture, as what is to be added to a smooth fill of the
hole: hardly trained it fills smoothly, and texture comes with training. Pictures are float32 RGB in
-1..1, masks 1 where the hole is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.shards import storage

CONFIG, WEIGHTS = "config.json", "model.safetensors"


class InpainterNetworkConfig(BaseModel):
    """Sizes of the network.

    Attributes:
        side: pixels of the square crops that it is trained on; it runs on others too.
        patch: pixels, in either direction, that the network takes as one cell.
        channels: of the U-Net's levels, each of half the resolution of the one before; multiples
            of 8.
        layers: residual blocks a level.
        attention: whether the lowest level attends over all cells.
        timesteps: of the diffusion.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    side: int = Field(default=64, ge=16, le=512)
    patch: Literal[1, 2, 4] = 2
    channels: tuple[int, ...] = (32, 64, 96)
    layers: int = Field(default=1, ge=1, le=4)
    attention: bool = True
    timesteps: int = Field(default=1000, ge=10, le=4000)

    @model_validator(mode="after")
    def _check(self) -> InpainterNetworkConfig:
        if len(self.channels) < 2 or any(one < 8 or one % 8 for one in self.channels):
            raise ValueError("channels are two or more multiples of 8")
        if self.side % self.multiple:
            raise ValueError(f"side must be a multiple of {self.multiple}")
        return self

    @property
    def multiple(self) -> int:
        """What the sides of a picture must be multiples of."""
        return self.patch * 2 ** (len(self.channels) - 1)


class Inpainter(nn.Module):
    """A U-Net of diffusers over cells of pixels."""

    def __init__(self, config: InpainterNetworkConfig):
        super().__init__()
        from diffusers.models.unets.unet_2d import UNet2DModel

        self.config = config
        levels = len(config.channels)
        down, up = ["DownBlock2D"] * levels, ["UpBlock2D"] * levels
        if config.attention:
            down[-1], up[0] = "AttnDownBlock2D", "AttnUpBlock2D"
        cell = config.patch**2
        self.unet: nn.Module = UNet2DModel(
            sample_size=config.side // config.patch,
            in_channels=7 * cell,  # noisy picture, picture without the hole, mask
            out_channels=3 * cell,
            down_block_types=tuple(down),
            up_block_types=tuple(up),
            block_out_channels=config.channels,
            layers_per_block=config.layers,
            norm_num_groups=8,
            add_attention=config.attention,
        )
        nn.init.zeros_(self.unet.conv_out.weight)  # pyright: ignore[reportArgumentType]
        nn.init.zeros_(self.unet.conv_out.bias)  # pyright: ignore[reportArgumentType]

    def forward(self, noisy: Tensor, picture: Tensor, mask: Tensor, time: Tensor) -> Tensor:
        """Clean pictures (B, 3, H, W) from noisy ones of times (B,); `picture` counts outside of
        the mask alone."""
        fill = smooth_fill(picture, mask)
        given = torch.cat([noisy, fill, mask * 2 - 1], dim=1)
        cells = F.pixel_unshuffle(given, self.config.patch)
        return fill + F.pixel_shuffle(self.unet(cells, time).sample, self.config.patch)


def smooth_fill(picture: Tensor, mask: Tensor) -> Tensor:
    """Holes filled from coarser and coarser averages of what is known around them.

    Args:
        picture: (B, 3, H, W); what it holds in the hole does not count.
        mask: (B, 1, H, W), 1 in the hole.
    """
    weight = 1 - mask
    known = picture * weight
    if min(mask.shape[2:]) < 2 or not bool(mask.any()):
        return known
    smaller = [
        F.avg_pool2d(one, 2, ceil_mode=True, count_include_pad=False) for one in (known, weight)
    ]
    full = smaller[1] > 0
    mean = torch.where(full, smaller[0] / smaller[1].clamp(min=1e-6), 0)
    coarse = smooth_fill(mean, 1 - full.float())
    fine = F.interpolate(coarse, mask.shape[2:], mode="bilinear", align_corners=False)
    return known + mask * fine


def scheduler(config: InpainterNetworkConfig) -> Any:
    """The noise schedule (cosine), as DDIM samples it."""
    from diffusers.schedulers.scheduling_ddim import DDIMScheduler

    return DDIMScheduler(
        num_train_timesteps=config.timesteps,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="sample",
        timestep_spacing="trailing",
        clip_sample=True,
    )


@torch.inference_mode()
def inpainted(
    network: Inpainter,
    picture: Tensor,
    mask: Tensor,
    steps: int,
    generator: torch.Generator | None = None,
    strength: float = 1.0,
) -> Tensor:
    """Fill holes by `steps` steps of DDIM.

    At each step what is known is put back at that step's noise level.

    Args:
        picture: (B, 3, H, W), sides multiples of `config.multiple`.
        mask: (B, 1, H, W).
        generator: on the CPU, for the same draws on every device; None draws from torch's own.
        strength: share of the diffusion that is undone, from the smooth fill under that much noise;
            below 1 fewer than `steps` steps are taken, and less is invented.

    Returns:
        (B, 3, H, W) in -1..1, as the network made it: outside of the mask nearly `picture`, and of
        one piece with what is inside.
    """
    plan = scheduler(network.config)
    plan.set_timesteps(steps)
    noise = torch.randn(picture.shape, generator=generator).to(picture.device)
    first = min(round((1 - strength) * steps), steps - 1)
    clean = smooth_fill(picture, mask)
    x = noise if first == 0 else plan.add_noise(clean, noise, plan.timesteps[first][None])
    for time in plan.timesteps[first:]:
        known = plan.add_noise(picture, noise, time[None])
        x = mask * x + (1 - mask) * known
        when = time.expand(len(x)).to(picture.device)
        done = plan.step(network(x, picture, mask, when), time, x)
        x, clean = done.prev_sample, done.pred_original_sample
    return clean  # the last step may keep a little noise


class InpainterQuality(BaseModel):
    """Holes of crops from scenes that training did not see, filled, against what was there.

    Attributes:
        crops, scenes: how many.
        difference: mean absolute difference within the holes, grey levels (0-255).
        telea_difference: of OpenCV's fast marching on the same holes.
        detail: standard deviation of the Laplacian within the holes, over that of the truth.
        telea_detail: of OpenCV's.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    crops: int
    scenes: int
    difference: float
    telea_difference: float
    detail: float
    telea_detail: float


class InpainterCard(BaseModel):
    """What a trained inpainter is.

    Attributes:
        steps: of training.
        trained_on: frames, scenes, licences.
        quality: None when no scene was held out.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    network: InpainterNetworkConfig
    weights_sha256: str
    steps: int
    trained_on: str
    licence: str
    quality: InpainterQuality | None

    def __str__(self) -> str:
        lines = [f"inpainter, {self.steps} steps on {self.trained_on}"]
        if self.quality:
            found = self.quality
            lines += [
                f"held out: {found.crops} holes of {found.scenes} scenes",
                f"  difference  {found.difference:.1f}  (Telea {found.telea_difference:.1f})",
                f"  detail      {found.detail:.2f}  (Telea {found.telea_detail:.2f}, truth 1)",
            ]
        return "\n".join(lines)


def save_inpainter(
    folder: Path,
    network: Inpainter,
    steps: int,
    trained_on: str,
    licence: str,
    quality: InpainterQuality | None,
) -> InpainterCard:
    """Write a folder, in float16."""
    tensors = {k: v.detach().cpu().half().contiguous() for k, v in network.state_dict().items()}
    data = save(tensors)
    card = InpainterCard(
        network=network.config,
        weights_sha256=hashlib.sha256(data).hexdigest(),
        steps=steps,
        trained_on=trained_on,
        licence=licence,
        quality=quality,
    )
    folder.mkdir(parents=True, exist_ok=True)
    storage.publish(str(folder / WEIGHTS), data)
    storage.publish(str(folder / CONFIG), card.model_dump_json(indent=2).encode() + b"\n")
    return card


def load_inpainter(folder: Path) -> tuple[Inpainter, InpainterCard]:
    """The network in `eval`, float32 on the CPU.

    Raises:
        MissingRequirement: there is no such folder.
        UsageError: its config is not an inpainter's.
        CorpusError: the weights do not match their pinned hash or their config.
    """
    if not (folder / CONFIG).is_file() or not (folder / WEIGHTS).is_file():
        raise MissingRequirement(
            f"{folder} is not a trained inpainter",
            "name the folder inpainter/ that forensics train wrote",
        )
    try:
        card = InpainterCard.model_validate_json((folder / CONFIG).read_bytes())
    except ValidationError as error:
        raise UsageError(
            f"{folder / CONFIG} is not an inpainter's: {error.errors()[0]['msg']}", "train it again"
        ) from error
    data = (folder / WEIGHTS).read_bytes()
    if hashlib.sha256(data).hexdigest() != card.weights_sha256:
        raise CorpusError(f"{folder / WEIGHTS} does not match its config", "get it again")
    network = Inpainter(card.network)
    try:
        network.load_state_dict({name: tensor.float() for name, tensor in load(data).items()})
    except RuntimeError as error:
        raise CorpusError(f"{folder}: weights do not fit ({error})", "train it again") from error
    return network.eval().requires_grad_(False), card
