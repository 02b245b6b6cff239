"""AASIST and AASIST-L (Jung et al., ICASSP 2022): graph attention on raw speech."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from forensics.detectors.base import SpeechDetector, register_detector
from forensics.detectors.bundle import Bundle
from forensics.errors import CorpusError, MissingRequirement, UsageError

if TYPE_CHECKING:
    import torch

    from forensics.networks.aasist import Aasist

# Windows scored at once. One on a CPU, where more gain nothing, so that scores there do not depend
# on the batch to the last bit.
BATCH = {"cpu": 1, "cuda": 32}


@register_detector
class AasistDetector(SpeechDetector):
    """Raw score = bona fide logit - spoof logit."""

    name: ClassVar[str] = "aasist"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "AASIST: graph attention on raw speech, 298 k parameters"

    def __init__(self, bundle: Bundle, network: Aasist, device: torch.device):
        self.bundle = bundle
        self.window_samples = bundle.config.window_samples
        self._network, self._device = network.to(device).eval(), device

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> Aasist:
        """A new network with random weights.

        Args:
            architecture: fields of `AasistConfig`; None for the published sizes.

        Raises:
            UsageError: the architecture cannot be built.
        """
        from pydantic import ValidationError

        from forensics.networks.aasist import PUBLISHED, Aasist, AasistConfig

        if architecture is None:
            return Aasist(PUBLISHED[cls.name])
        try:
            return Aasist(AasistConfig.model_validate(architecture))
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UsageError(
                f"the architecture of {cls.name} is not valid: {where}: {first['msg']}",
                "get the weights again",
            ) from error

    @classmethod
    def from_folder(cls, folder: Path, device: str = "cpu") -> AasistDetector:
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
        return cls(bundle, network, _available(device))

    def score(self, windows: np.ndarray) -> np.ndarray:
        import torch

        if windows.ndim != 2 or windows.shape[1] != self.window_samples:
            raise ValueError(f"expected (B, {self.window_samples}) samples, got {windows.shape}")
        batches = torch.from_numpy(np.ascontiguousarray(windows, np.float32)).split(
            BATCH[self._device.type]
        )
        # TF32 would move scores by more than rounding.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            logits = [self._network(batch.to(self._device)).double().cpu() for batch in batches]
        spoof, bonafide = torch.cat(logits).unbind(dim=1)
        return (bonafide - spoof).numpy()


@register_detector
class AasistLDetector(AasistDetector):
    """AASIST-L: the same with narrower blocks."""

    name: ClassVar[str] = "aasist-l"
    summary: ClassVar[str] = "AASIST-L: the light AASIST, 85 k parameters"


def _available(device: str) -> torch.device:
    import torch

    try:
        wanted = torch.device(device)
    except RuntimeError as error:
        raise UsageError(f"there is no device {device!r}", "use cpu or cuda") from error
    if wanted.type not in BATCH:
        raise UsageError(f"device {device!r} is not supported", "use cpu or cuda")
    if wanted.type == "cuda" and not torch.cuda.is_available():
        raise MissingRequirement("torch finds no CUDA device", "use the device cpu")
    return wanted
