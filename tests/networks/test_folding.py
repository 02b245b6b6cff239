"""Batch norms folded into convolutions: the same outputs, and nothing where that cannot be."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from forensics.networks.folding import fold_batch_norms
from forensics.networks.localiser.network import Localiser, LocaliserConfig


def unsettled(network: nn.Module) -> nn.Module:
    """With batch norms that do something, in evaluation mode."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.3)  # pyright: ignore
            nn.init.uniform_(module.running_var, 0.5, 2)  # pyright: ignore
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias)
    return network.eval()


@pytest.mark.parametrize("backbone", ["trace", "mobilenetv4_conv_small_050", "resnet18"])
def test_a_localiser_says_the_same_and_keeps_one_batch_norm(backbone):
    torch.manual_seed(0)
    config = LocaliserConfig(backbone=backbone, streams=("rgb", "srm", "bayar", "dct"))
    network = unsettled(Localiser(config))
    network.to(memory_format=torch.channels_last)  # pyright: ignore
    pixels, tables = torch.rand(2, 3, 96, 128) * 255, torch.ones(2, 8, 8) * 5
    with torch.inference_mode():
        before = network(pixels, tables)
        network.quicken()
        after = network(pixels, tables)
    assert sum(isinstance(one, nn.BatchNorm2d) for one in network.modules()) == 1  # after a sum
    torch.testing.assert_close(after.logits, before.logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(after.score, before.score, rtol=1e-4, atol=1e-4)
    wide = [one for one in network.parameters() if one.dim() == 4 and one.shape[1] > 1]
    assert all(one.is_contiguous(memory_format=torch.channels_last) for one in wide)


def test_the_scale_and_shift_are_those_of_the_batch_norm():
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).eval()
    conv, norm = network
    with torch.no_grad():
        conv.weight.fill_(2.0), conv.bias.fill_(1.0)  # pyright: ignore
        norm.running_mean.fill_(3.0), norm.running_var.fill_(4.0 - norm.eps)  # pyright: ignore
        norm.weight.fill_(6.0), norm.bias.fill_(5.0)  # pyright: ignore
    assert fold_batch_norms(network, lambda: network(torch.ones(1, 1, 2, 2))) == 1
    # (2 x + 1 - 3) / 2 * 6 + 5 = 6 x - 1
    assert isinstance(network[1], nn.Identity)
    assert network[0].weight.item() == pytest.approx(6.0)
    assert network[0].bias.item() == pytest.approx(-1.0)


class Beside(nn.Module):
    """The convolution's output is also used as it is."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


class Twice(Beside):
    """One convolution serves twice."""

    def forward(self, x):
        return self.norm(self.conv(x)) - self.conv(x + 1)


@pytest.mark.parametrize("kind", [Beside, Twice])
def test_what_would_change_the_output_is_left_as_it_was(kind):
    torch.manual_seed(0)
    network = unsettled(kind())
    x = torch.randn(1, 2, 8, 8)
    before, names = network(x), list(network.state_dict())
    assert fold_batch_norms(network, lambda: network(x)) == 0
    assert torch.equal(network(x), before) and list(network.state_dict()) == names
