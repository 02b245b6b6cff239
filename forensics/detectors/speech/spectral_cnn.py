"""The small default: a residual CNN on normalised log spectrograms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from forensics.detectors.base import register_detector
from forensics.detectors.network_detector import NetworkDetector, checked_architecture

if TYPE_CHECKING:
    import torch

    from forensics.networks.spectral_cnn import SpectralCnn


@register_detector
class SpectralCnnDetector(NetworkDetector):
    """Raw score = logit of bona fide."""

    name: ClassVar[str] = "spectral-cnn"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Small residual CNN on log spectrograms, 357 k parameters"

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> SpectralCnn:
        from forensics.networks.spectral_cnn import SpectralCnn, SpectralCnnConfig

        return SpectralCnn(checked_architecture(SpectralCnnConfig, architecture or {}, cls.name))

    @staticmethod
    def bonafide_scores(output: torch.Tensor) -> torch.Tensor:
        return output
