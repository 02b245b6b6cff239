"""AASIST and AASIST-L (Jung et al., ICASSP 2022): graph attention on raw speech."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from forensics.detectors.base import register_detector
from forensics.detectors.network_detector import NetworkDetector, checked_architecture

if TYPE_CHECKING:
    import torch

    from forensics.networks.aasist import Aasist


@register_detector
class AasistDetector(NetworkDetector):
    """Raw score = bona fide logit - spoof logit."""

    name: ClassVar[str] = "aasist"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "AASIST: graph attention on raw speech, 298 k parameters"

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> Aasist:
        """A new network with random weights.

        Args:
            architecture: fields of `AasistConfig`; None for the published sizes.

        Raises:
            UsageError: the architecture cannot be built.
        """
        from forensics.networks.aasist import PUBLISHED, Aasist, AasistConfig

        if architecture is None:
            return Aasist(PUBLISHED[cls.name])
        return Aasist(checked_architecture(AasistConfig, architecture, cls.name))

    @staticmethod
    def bonafide_scores(output: torch.Tensor) -> torch.Tensor:
        spoof, bonafide = output.unbind(dim=1)
        return bonafide - spoof


@register_detector
class AasistLDetector(AasistDetector):
    """AASIST-L: the same with narrower blocks."""

    name: ClassVar[str] = "aasist-l"
    summary: ClassVar[str] = "AASIST-L: the light AASIST, 85 k parameters"
