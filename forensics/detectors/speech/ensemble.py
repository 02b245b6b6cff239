"""Several networks that listen in different ways, as one detector."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from forensics.detectors.base import DETECTORS, register_detector
from forensics.detectors.network_detector import NetworkDetector, checked_architecture
from forensics.errors import UsageError

if TYPE_CHECKING:
    import torch
    from torch import nn

    from forensics.networks.ensemble import Ensemble, EnsembleMember

_USUAL = ("trace-cnn", "hiercon")


@register_detector
class EnsembleDetector(NetworkDetector):
    """Raw score = sum of the members' scaled scores."""

    name: ClassVar[str] = "ensemble"
    version: ClassVar[str] = "1"
    licence: ClassVar[str] = "Apache-2.0"
    summary: ClassVar[str] = "Several networks as one: the sum of their standardised scores"
    batch: ClassVar[Mapping[str, int]] = {"cpu": 1, "cuda": 16}

    @classmethod
    def network(cls, architecture: Mapping[str, Any] | None = None) -> Ensemble:
        """As `NetworkDetector.network`; without an architecture, `trace-cnn` and compact `hiercon`.

        Raises:
            UsageError: a member is not a network that explains every window as it scores it, or is
                of another version of its detector.
        """
        from forensics.networks.ensemble import Ensemble, EnsembleConfig

        wanted = architecture or {"members": [new_member(name) for name in _USUAL]}
        config = checked_architecture(EnsembleConfig, wanted, cls.name)
        return Ensemble(config, [_network(member) for member in config.members])

    @staticmethod
    def bonafide_scores(output: torch.Tensor) -> torch.Tensor:
        return output


def new_member(detector: str, architecture: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A member of today's version, as the architecture of an ensemble names it."""
    version = DETECTORS.get(detector).version
    return {"detector": detector, "version": version, "architecture": dict(architecture or {})}


def _network(member: EnsembleMember) -> nn.Module:
    kind = DETECTORS.get(member.detector)
    if member.version != kind.version:
        raise UsageError(
            f"a member was made for {member.detector} {member.version}, this is {kind.version}",
            "get the weights again",
        )
    if member.detector != EnsembleDetector.name and issubclass(kind, NetworkDetector):
        network = kind.network(member.architecture or None)
        if getattr(network, "explains_for_free", False):
            return network
    raise UsageError(
        f"{member.detector} cannot be a member of an ensemble",
        "name detectors whose networks attend over time: trace-cnn, spectral-cnn, hiercon",
    )
