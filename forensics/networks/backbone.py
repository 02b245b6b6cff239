"""What the layer-wise heads stand on."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from pydantic import BaseModel
from torch import Tensor, nn

C = TypeVar("C", bound=BaseModel)


class Backbone(nn.Module, ABC, Generic[C]):
    """Speech → the output of every transformer layer.

    Attributes:
        config: that it is built from.
        channels: C of the layers' outputs.
        depth: L, the number of layers.
        hop: samples (at 16 kHz) between two steps of the outputs.
    """

    config: C
    channels: int
    depth: int
    hop: int

    @abstractmethod
    def forward(self, samples: Tensor, hide: Tensor | None = None) -> list[Tensor]:
        """float32 (B, samples) in [-1, 1] → L tensors (B, T, C), in order from the input up.

        Args:
            hide: a mask for backbones that look at a spectrogram; others take none.
        """

    @abstractmethod
    def steps(self, samples: int) -> int:
        """T for that many samples."""

    def exported(self) -> tuple[C, dict[str, Tensor]]:
        """What builds this backbone anywhere, without another file, and its weights."""
        return self.config, self.state_dict()
