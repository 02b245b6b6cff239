"""Vocoder configs and the networks that they describe."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import nn

from forensics.networks.vocoders.flow import FlowConfig, FlowVocoder
from forensics.networks.vocoders.fourier import FourierConfig, FourierVocoder
from forensics.networks.vocoders.upsampling import UpsamplingConfig, UpsamplingVocoder

VocoderNetworkConfig = Annotated[
    UpsamplingConfig | FourierConfig | FlowConfig, Field(discriminator="family")
]


def build_vocoder(config: UpsamplingConfig | FourierConfig | FlowConfig) -> nn.Module:
    """A network with random weights: log mel (B, n_mels, frames) → samples (B, frames * hop)."""
    if isinstance(config, UpsamplingConfig):
        return UpsamplingVocoder(config)
    if isinstance(config, FourierConfig):
        return FourierVocoder(config)
    return FlowVocoder(config)
