"""A CNN on the texture of spectra and the advance of their phase."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from forensics.detectors.base import register_detector
from forensics.detectors.network_detector import NetworkDetector, checked_architecture

if TYPE_CHECKING:
    import torch

    from forensics.networks.trace_cnn import TraceCnn


@register_detector
class TraceCnnDetector(NetworkDetector):
    """Raw score = logit of bona fide."""

    name: ClassVar[str] = "trace-cnn"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "CNN on spectral texture and phase advance at several resolutions"

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> TraceCnn:
        from forensics.networks.trace_cnn import TraceCnn, TraceCnnConfig

        return TraceCnn(checked_architecture(TraceCnnConfig, architecture or {}, cls.name))

    @staticmethod
    def bonafide_scores(output: torch.Tensor) -> torch.Tensor:
        return output
