"""Scores windows with PyTorch, on a CPU or a GPU."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

import numpy as np

from forensics.detectors.runner import OUTPUTS, Outputs, joined
from forensics.errors import MissingRequirement, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from forensics.networks.explained import Explained


class TorchRunner:
    """A network in `eval` mode on a device.

    Args:
        bonafide_scores: what the network's `forward` gives → scores (B,), higher = bona fide.
        batch: windows scored at once by device type; devices it does not name are refused.
        threads: of PyTorch on the CPU, for the whole process; None leaves them as they are.

    Raises:
        UsageError: no such device. MissingRequirement: it is not there.
    """

    def __init__(
        self,
        network: nn.Module,
        bonafide_scores: Callable[[torch.Tensor], torch.Tensor],
        batch: Mapping[str, int],
        device: str = "cpu",
        threads: int | None = None,
    ):
        import torch

        self._device = available(device, batch)
        if threads is not None:
            torch.set_num_threads(threads)
        self._network = network.to(self._device).eval()
        self._bonafide_scores = bonafide_scores
        self._batch = batch[self._device.type]
        self.description = f"torch {torch.__version__}, {device}"

    def __call__(self, windows: np.ndarray) -> Outputs:
        import torch

        batches = torch.from_numpy(windows).split(self._batch)
        # TF32 would move scores by more than rounding.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return joined(
                [
                    _in_numpy(scored(self._network, self._bonafide_scores, batch.to(self._device)))
                    for batch in batches
                ]
            )

    def explain(self, windows: np.ndarray) -> Outputs:
        import torch

        explain = getattr(self._network, "explain", None)
        if explain is None:
            return self(windows)
        samples = torch.from_numpy(windows).to(self._device)
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            return _in_numpy(_named(explain(samples)))


def scored(
    network: nn.Module,
    bonafide_scores: Callable[[torch.Tensor], torch.Tensor],
    samples: torch.Tensor,
) -> dict[str, torch.Tensor]:
    """The fields of `Outputs` that the network gives at the cost of a score; samples (B, T)."""
    if getattr(network, "explains_for_free", False):
        return _named(network.explain(samples))  # pyright: ignore[reportCallIssue]
    return {"score": bonafide_scores(network(samples))}


def _named(explained: Explained) -> dict[str, torch.Tensor]:
    values = {name: getattr(explained, name) for name in OUTPUTS}
    return {name: value for name, value in values.items() if value is not None}


def _in_numpy(tensors: dict[str, torch.Tensor]) -> Outputs:
    found = {name: tensor.float().cpu().numpy() for name, tensor in tensors.items()}
    return Outputs(**{**found, "score": tensors["score"].double().cpu().numpy()})


def available(device: str, known: Collection[str]) -> torch.device:
    """The device of that name, if it is of a known type.

    Raises:
        UsageError: no such device. MissingRequirement: it is not there.
    """
    import torch

    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"there is no device {device!r}", "use cpu or cuda") from error
    if wanted.type not in known:
        raise UsageError(f"device {device!r} is not supported", "use cpu or cuda")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement("torch finds no CUDA device", "use the device cpu")
    return wanted
