"""What a bundle holds of a trained network."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from forensics.networks.layered import LayeredNetwork


def exported(network: nn.Module) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """A network's architecture and weights, from which a detector builds it without other files.

    Adapters are merged, settings that matter in training alone are gone. The network is as before.

    Args:
        network: of this package, with a pydantic `config`.
    """
    if isinstance(network, LayeredNetwork):
        return network.exported()
    return network.config.model_dump(mode="json"), network.state_dict()  # pyright: ignore
