"""What detectors share whose score is the output of a torch network on one window."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar, overload

import numpy as np
from pydantic import BaseModel, ValidationError

from forensics.detectors.base import Explanation, SpeechDetector
from forensics.detectors.bundle import Bundle
from forensics.errors import CorpusError, MissingRequirement, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from forensics.networks.explained import Explained

C = TypeVar("C", bound=BaseModel)


class NetworkDetector(SpeechDetector):
    """Subclasses name their network; weights, devices and batches are the same for all.

    Attributes:
        batch: windows scored at once by device type. One on a CPU, where more gain nothing, so
            that scores there do not depend on the batch to the last bit.
    """

    batch: ClassVar[Mapping[str, int]] = {"cpu": 1, "cuda": 32}

    def __init__(self, bundle: Bundle, network: nn.Module, device: torch.device):
        self.bundle = bundle
        self.window_samples = bundle.config.window_samples
        self._network, self._device = network.to(device).eval(), device

    @classmethod
    @abstractmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> nn.Module:
        """A new network with random weights.

        Args:
            architecture: fields of its config; None for the usual sizes.

        Raises:
            UsageError: the architecture cannot be built.
        """

    @abstractmethod
    def bonafide_scores(self, output: torch.Tensor) -> torch.Tensor:
        """What the network gives for windows (B, ...) → raw scores (B,), higher = bona fide."""

    @classmethod
    def from_folder(cls, folder: Path, device: str = "cpu") -> Self:
        bundle = Bundle.load(folder)
        bundle.check_made_for(cls.name, cls.version, cls.sampling_rate)
        network = cls.network(bundle.config.architecture)
        try:
            network.load_state_dict(bundle.tensors(), strict=True)
        except RuntimeError as error:
            raise CorpusError(
                f"{folder}: the weights do not fit their architecture ({error})",
                "get the weights again",
            ) from error
        return cls(bundle, network, cls._available(device))

    def score(self, windows: np.ndarray) -> np.ndarray:
        import torch

        if windows.ndim != 2 or windows.shape[1] != self.window_samples:
            raise ValueError(f"expected (B, {self.window_samples}) samples, got {windows.shape}")
        batches = torch.from_numpy(np.ascontiguousarray(windows, np.float32)).split(
            self.batch[self._device.type]
        )
        # TF32 would move scores by more than rounding.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            outputs = [self._network(batch.to(self._device)).double().cpu() for batch in batches]
        return self.bonafide_scores(torch.cat(outputs)).numpy()

    def explain(self, window: np.ndarray) -> Explanation | None:
        """What the network attended to, where it can tell; None for networks that cannot.

        Args:
            window: float32 (window_samples,), as `score` takes them.
        """
        import torch

        explain = getattr(self._network, "explain", None)
        if explain is None:
            return None
        row = torch.from_numpy(np.ascontiguousarray(window, np.float32)).unsqueeze(0)
        with torch.inference_mode():
            found: Explained = explain(row.to(self._device))
        time = _first_row(found.time)
        return Explanation(
            seconds_per_step=len(window) / self.sampling_rate / len(time),
            time=time,
            layers=_first_row(found.layers),
            layer_groups=_first_row(found.layer_groups),
            attention=_first_row(found.attention),
        )

    @classmethod
    def _available(cls, device: str) -> torch.device:
        import torch

        try:
            wanted = torch.device(device)
        except RuntimeError as error:
            raise UsageError(f"there is no device {device!r}", "use cpu or cuda") from error
        if wanted.type not in cls.batch:
            raise UsageError(f"device {device!r} is not supported", "use cpu or cuda")
        if wanted.type == "cuda" and not torch.cuda.is_available():
            raise MissingRequirement("torch finds no CUDA device", "use the device cpu")
        return wanted


@overload
def _first_row(rows: torch.Tensor) -> np.ndarray: ...
@overload
def _first_row(rows: torch.Tensor | None) -> np.ndarray | None: ...
def _first_row(rows: torch.Tensor | None) -> np.ndarray | None:
    return None if rows is None else rows[0].float().cpu().numpy()


def checked_architecture(config: type[C], architecture: Mapping[str, Any], name: str) -> C:
    """A bundle's `architecture` as the network's config.

    Raises:
        UsageError: it is none.
    """
    try:
        return config.model_validate(architecture)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UsageError(
            f"the architecture of {name} is not valid: {where}: {first['msg']}",
            "get the weights again",
        ) from error
