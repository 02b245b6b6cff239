"""What detectors share whose score is the output of a torch network on one window."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

import numpy as np
from pydantic import BaseModel, ValidationError

from forensics.detectors.base import Explanation, SpeechDetector
from forensics.detectors.bundle import ONNX, Bundle
from forensics.detectors.onnx_runner import OnnxRunner, onnx_installed
from forensics.detectors.runner import Outputs, Runner
from forensics.detectors.torch_runner import TorchRunner
from forensics.errors import CorpusError, UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn


C = TypeVar("C", bound=BaseModel)


class NetworkDetector(SpeechDetector):
    """Subclasses name their network; weights, devices and batches are the same for all.

    On a CPU a bundle's ONNX graph is run where it has one and ONNX Runtime is installed, without
    torch; everything else runs in torch.

    Attributes:
        batch: windows that torch scores at once by device type. One on a CPU, where more gain
            nothing, so that scores there do not depend on the batch to the last bit.
    """

    batch: ClassVar[Mapping[str, int]] = {"cpu": 1, "cuda": 32}

    def __init__(self, bundle: Bundle, runner: Runner):
        self.bundle = bundle
        self.window_samples = bundle.config.window_samples
        self.runtime = runner.description
        self._runner = runner

    @classmethod
    @abstractmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> nn.Module:
        """A new network with random weights.

        Args:
            architecture: fields of its config; None for the usual sizes.

        Raises:
            UsageError: the architecture cannot be built.
        """

    @staticmethod
    @abstractmethod
    def bonafide_scores(output: torch.Tensor) -> torch.Tensor:
        """What the network gives for windows (B, ...) → raw scores (B,), higher = bona fide."""

    @classmethod
    def from_folder(cls, folder: Path, device: str = "cpu", threads: int | None = None) -> Self:
        bundle = cls._checked(folder)
        if device != "cpu" or not bundle.has_onnx or not onnx_installed():
            return cls.in_torch(folder, device, threads)
        window = bundle.config.window_samples
        return cls(bundle, OnnxRunner(bundle.onnx(), folder / ONNX, window, threads or 1))

    @classmethod
    def in_torch(cls, folder: Path, device: str = "cpu", threads: int | None = None) -> Self:
        """As `from_folder`, but in torch even where there is an ONNX graph."""
        bundle = cls._checked(folder)
        network = cls.trained_network(bundle)
        return cls(bundle, TorchRunner(network, cls.bonafide_scores, cls.batch, device, threads))

    @classmethod
    def trained_network(cls, bundle: Bundle) -> nn.Module:
        """The network with the weights of the bundle, on the CPU, in `eval` mode.

        Raises:
            CorpusError: the weights do not fit their architecture.
        """
        network = cls.network(bundle.config.architecture)
        try:
            network.load_state_dict(bundle.tensors(), strict=True)
        except RuntimeError as error:
            raise CorpusError(
                f"{bundle.folder}: the weights do not fit their architecture ({error})",
                "get the weights again",
            ) from error
        return network.eval()

    def score(self, windows: np.ndarray) -> np.ndarray:
        return self.examine(windows)[0]

    def explain(self, window: np.ndarray) -> Explanation | None:
        return self._explanation(self._runner.explain(self._checked_windows(window[None])), 0)

    def examine(self, windows: np.ndarray) -> tuple[np.ndarray, list[Explanation | None]]:
        outputs = self._outputs(windows)
        return outputs.score, [self._explanation(outputs, i) for i in range(len(windows))]

    def _outputs(self, windows: np.ndarray) -> Outputs:
        checked = self._checked_windows(windows)
        return self._runner(checked) if len(checked) else Outputs(np.zeros(0))

    def _checked_windows(self, windows: np.ndarray) -> np.ndarray:
        if windows.ndim != 2 or windows.shape[1] != self.window_samples:
            raise ValueError(f"expected (B, {self.window_samples}) samples, got {windows.shape}")
        return np.ascontiguousarray(windows, np.float32)

    def _explanation(self, outputs: Outputs, index: int) -> Explanation | None:
        if outputs.time is None:
            return None
        parts = (outputs.layers, outputs.layer_groups, outputs.attention)
        layers, groups, attention = (None if part is None else part[index] for part in parts)
        time = outputs.time[index]
        step_s = self.window_samples / self.sampling_rate / len(time)
        return Explanation(step_s, time, layers, groups, attention)

    @classmethod
    def _checked(cls, folder: Path) -> Bundle:
        bundle = Bundle.load(folder)
        bundle.check_made_for(cls.name, cls.version, cls.sampling_rate)
        return bundle


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
