"""Meso4: four convolutions and two dense layers on a face crop.

Afchar, Nozick, Yamagishi and Echizen, "MesoNet: a Compact Facial Video Forgery Detection Network",
WIFS 2018, as published in Keras: each block is convolution, ReLU, batch norm (epsilon 1e-3), max
pooling. The published code has a LeakyReLU (0.1) between the dense layers, which the paper does
not draw and the published weights file does not list; this follows the code.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SIDE = 256
_BLOCKS = ((3, 8, 3, 2), (8, 8, 5, 2), (8, 16, 5, 2), (16, 16, 5, 4))  # in, out, kernel, pooling
_LAST, _MAPS = 8, 16  # side and number of the maps that the dense layers see
_KERAS = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
_KERAS |= {"moving_variance": "running_var", "kernel": "weight", "bias": "bias"}


class Meso4(nn.Module):
    """Crops float32 RGB (B, 3, 256, 256) in [0, 1] → logits (B,), > 0 = real."""

    def __init__(self):
        super().__init__()
        self.convolutions = nn.ModuleList(
            nn.Conv2d(inner, outer, size, padding=size // 2) for inner, outer, size, _ in _BLOCKS
        )
        # Keras keeps 0.99 of a running mean at each step, torch calls that a momentum of 0.01.
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(outer, eps=1e-3, momentum=0.01) for _, outer, _, _ in _BLOCKS
        )
        self.hidden = nn.Linear(_MAPS * _LAST * _LAST, 16)
        self.out = nn.Linear(16, 1)
        self.dropout = nn.Dropout(0.5)

    def forward(self, crops: Tensor) -> Tensor:
        maps = crops
        for convolution, norm, (*_, pooling) in zip(
            self.convolutions, self.norms, _BLOCKS, strict=True
        ):
            maps = F.max_pool2d(norm(F.relu(convolution(maps))), pooling)
        hidden = F.leaky_relu(self.hidden(self.dropout(maps.flatten(1))), 0.1)
        return self.out(self.dropout(hidden)).squeeze(1)


def from_keras(arrays: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A Keras weights file's arrays under our names and in our order of axes.

    Args:
        arrays: `<place>/<layer>/<weight>` → array, as `checkpoint_worker` writes them. Layers are
            told by their order, since Keras numbers them anew in each session.

    Raises:
        ValueError: the layers are not those of Meso4, in words.
    """
    layers: dict[str, dict[str, Tensor]] = {}
    for name in sorted(arrays):
        layer, _, weight = name.rpartition("/")
        layers.setdefault(layer, {})[weight] = arrays[name]
    ours = [f"{kind}.{n}" for n in range(len(_BLOCKS)) for kind in ("convolutions", "norms")]
    ours += ["hidden", "out"]
    if len(layers) != len(ours):
        raise ValueError(f"{len(layers)} layers with weights, not {len(ours)}")
    found = {}
    for name, (layer, weights) in zip(ours, layers.items(), strict=True):
        for weight, array in weights.items():
            if weight not in _KERAS:
                raise ValueError(f"unknown weight {layer}/{weight}")
            found[f"{name}.{_KERAS[weight]}"] = (
                _reordered(name, array) if weight == "kernel" else array
            )
        if name.startswith("norms"):
            found[f"{name}.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    return {name: value.contiguous() for name, value in found.items()}


def _reordered(name: str, kernel: Tensor) -> Tensor:
    """Channels last → channels first."""
    if kernel.ndim == 4:
        return kernel.permute(3, 2, 0, 1)
    if name == "hidden" and kernel.shape[0] == _MAPS * _LAST * _LAST:
        maps = kernel.reshape(_LAST, _LAST, _MAPS, -1).permute(3, 2, 0, 1)
        return maps.flatten(1)
    return kernel.T
