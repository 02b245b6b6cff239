"""SLS and the plain mean against their descriptions, and how networks go into bundles."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_backbones
from torch.nn import functional as F

from forensics.errors import UsageError
from forensics.networks.aasist import PUBLISHED, Aasist, AasistConfig
from forensics.networks.export import exported
from forensics.networks.hiercon import HierCon, HierConConfig
from forensics.networks.mean_pool import MeanPool, MeanPoolConfig
from forensics.networks.sls import Sls, SlsConfig, SlsHead

COMPACT = {"kind": "compact", "width": 32, "depth": 4, "stem": [4, 4, 4, 4], "heads": 2}
NETWORKS = [
    (HierCon, HierConConfig, {}),
    (Sls, SlsConfig, {"window_samples": 8_000, "hidden": 8}),
    (MeanPool, MeanPoolConfig, {}),
]


def built(cls, config, fields, backbone=COMPACT, seed=0):
    torch.manual_seed(seed)
    return cls(config.model_validate({"backbone": backbone, **fields}))


def test_sls_has_the_published_number_of_parameters():
    config = SlsConfig.model_validate({"backbone": COMPACT})
    assert sum(p.numel() for p in SlsHead(1024, 201, config).parameters()) == 23_399_429


def test_sls_is_its_description():
    torch.manual_seed(0)
    config = SlsConfig.model_validate({"backbone": COMPACT, "hidden": 8})
    head = SlsHead(16, 10, config).eval()
    head.norm.running_mean.fill_(0.2)
    head.norm.running_var.fill_(1.7)
    stack = torch.randn(2, 4, 10, 16)
    gates = torch.sigmoid(head.gate(stack.mean(dim=2)))  # (2, 4, 1)
    image = (stack * gates.unsqueeze(3)).sum(dim=1).unsqueeze(1)
    image = F.max_pool2d(F.selu(head.norm(image)), (3, 3))
    assert image.shape == (2, 1, 3, 5)
    hidden = F.selu(head.flat(image.flatten(1)))
    logits = F.selu(head.output(hidden)).log_softmax(dim=1)
    described = head(list(stack.unbind(dim=1)))
    torch.testing.assert_close(described.score, logits[:, 1] - logits[:, 0])
    torch.testing.assert_close(described.embedding, hidden)


def test_sls_takes_one_length_only():
    network = built(*NETWORKS[1]).eval()
    with pytest.raises(UsageError, match="windows of 16 steps, not 12"):
        network(tiny_backbones.noise(1, 6_000))


def test_mean_pool_mixes_means():
    network = built(MeanPool, MeanPoolConfig, {}).eval()
    with torch.no_grad():
        network.head.mixture.copy_(torch.tensor([0.0, 1.0, -1.0, 2.0]))
    samples = tiny_backbones.noise(2, 8_000)
    layers = network.backbone(samples)
    weights = torch.tensor([0.0, 1.0, -1.0, 2.0]).softmax(0)
    mixed = sum(weight * layer.mean(dim=1) for weight, layer in zip(weights, layers, strict=True))
    torch.testing.assert_close(network.describe(samples).embedding, network.head.norm(mixed))


def test_a_layer_that_weighs_nothing_is_not_named_in_the_explanation():
    network = built(MeanPool, MeanPoolConfig, {}).eval()
    with torch.no_grad():
        network.head.mixture.copy_(torch.tensor([0.0, -100.0, 0.0, -100.0]))
    with torch.inference_mode():  # as detectors call it
        explained = network.explain(tiny_backbones.noise(2, 8_000))
    assert (explained.layers[:, [1, 3]] < 1e-6).all() and (explained.layers[:, [0, 2]] > 0.05).all()


@pytest.mark.parametrize(("cls", "config", "fields"), NETWORKS)
def test_explanations_are_shares_and_carry_the_score(cls, config, fields):
    network = built(cls, config, fields).eval()
    samples = tiny_backbones.noise(2, 8_000)
    with torch.inference_mode():
        explained, score = network.explain(samples), network(samples)
    torch.testing.assert_close(explained.score, score)
    steps = network.backbone.steps(8_000)
    assert explained.time.shape == (2, steps) and explained.attention.shape == (2, 4, steps)
    for share in (explained.time, explained.layers, explained.attention):
        torch.testing.assert_close(share.sum(-1), torch.ones(share.shape[:-1]))
        assert (share >= 0).all()


@pytest.mark.parametrize(("cls", "config", "fields"), NETWORKS)
@pytest.mark.parametrize("kind", ["compact", "ssl"])
def test_exported_networks_are_built_again_without_the_folder(cls, config, fields, kind, tmp_path):
    backbone = COMPACT
    if kind == "ssl":
        model = tiny_backbones.save(tmp_path)
        backbone = {"kind": "ssl", "model": model, "gradient_checkpointing": True}
    network = built(cls, config, fields, backbone).eval()
    architecture, tensors = exported(network)
    assert str(tmp_path) not in str(architecture)
    again = cls(config.model_validate(architecture))
    again.load_state_dict(tensors, strict=True)
    samples = tiny_backbones.noise(2, 8_000)
    with torch.inference_mode():
        assert torch.equal(again.eval()(samples), network(samples))


def test_other_networks_are_exported_as_they_are():
    network = Aasist(PUBLISHED["aasist-l"])
    architecture, tensors = exported(network)
    assert AasistConfig.model_validate(architecture) == PUBLISHED["aasist-l"]
    Aasist(AasistConfig.model_validate(architecture)).load_state_dict(tensors, strict=True)


@pytest.mark.parametrize("output", ["logits", "cosine"])
@pytest.mark.parametrize(("cls", "config", "fields"), NETWORKS)
def test_outputs_have_a_direction_and_every_weight_a_gradient(cls, config, fields, output):
    network = built(cls, config, {**fields, "output": output}).train()
    described = network.describe(tiny_backbones.noise(2, 8_000))
    assert described.score.shape == (2,)
    if output == "cosine":
        assert described.score.abs().max() <= 1
    total = described.score.sum()
    if described.projection is not None:
        total = total + described.projection.square().sum()
    total.backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []
