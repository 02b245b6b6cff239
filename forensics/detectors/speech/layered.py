"""Detectors on the layers of a backbone: HierCon, SLS, and the plain mean.

Without an architecture they stand on the compact backbone; a bundle's architecture names its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from forensics.detectors.base import register_detector
from forensics.detectors.network_detector import NetworkDetector, checked_architecture

if TYPE_CHECKING:
    import torch

    from forensics.networks.hiercon import HierCon
    from forensics.networks.mean_pool import MeanPool
    from forensics.networks.sls import Sls

_COMPACT: Mapping[str, Any] = {"backbone": {"kind": "compact"}}


class _LayeredDetector(NetworkDetector):
    """Raw score = bona fide logit - spoof logit, or a cosine."""

    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    batch: ClassVar[Mapping[str, int]] = {"cpu": 1, "cuda": 16}

    @staticmethod
    def bonafide_scores(output: torch.Tensor) -> torch.Tensor:
        return output


@register_detector
class HierConDetector(_LayeredDetector):
    name: ClassVar[str] = "hiercon"
    summary: ClassVar[str] = "HierCon: hierarchical attention over the layers of a backbone"

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> HierCon:
        from forensics.networks.hiercon import HierCon, HierConConfig

        return HierCon(checked_architecture(HierConConfig, architecture or _COMPACT, cls.name))


@register_detector
class SlsDetector(_LayeredDetector):
    name: ClassVar[str] = "sls"
    summary: ClassVar[str] = "SLS: gated sum of the layers of a backbone"

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> Sls:
        from forensics.networks.sls import Sls, SlsConfig

        return Sls(checked_architecture(SlsConfig, architecture or _COMPACT, cls.name))


@register_detector
class MeanPoolDetector(_LayeredDetector):
    name: ClassVar[str] = "mean-pool"
    summary: ClassVar[str] = "Mean over time of a mixture of the layers of a backbone"

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> MeanPool:
        from forensics.networks.mean_pool import MeanPool, MeanPoolConfig

        return MeanPool(checked_architecture(MeanPoolConfig, architecture or _COMPACT, cls.name))
