"""Backbones through transformers: which tensors they give, what trains, what a bundle gets."""

from __future__ import annotations

import pytest
import torch
from helpers import tiny_backbones
from torch.nn import functional as F

from forensics.errors import MissingRequirement, UsageError
from forensics.networks.ssl_backbone import SslBackbone, SslConfig

FAMILIES = ["wav2vec2", "wavlm", "hubert"]
EVERY = [(family, stable) for family in FAMILIES for stable in (True, False)]


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)
    torch.manual_seed(0)


def backbone(folder, family="wav2vec2", stable=True, **fields):
    return SslBackbone(SslConfig(model=tiny_backbones.save(folder, family, stable), **fields))


def raw_outputs(model, samples):
    """What each layer of a plain model returns, caught where it leaves the layer."""
    caught: list[torch.Tensor] = []

    def keep(module, args, output):
        caught.append(output[0] if isinstance(output, tuple) else output)

    hooks = [layer.register_forward_hook(keep) for layer in model.encoder.layers]
    with torch.inference_mode():
        last = model(samples).last_hidden_state
    for hook in hooks:
        hook.remove()
    return caught, last


@pytest.mark.parametrize(("family", "stable"), EVERY)
def test_every_layer_comes_out_raw_in_one_pass(tmp_path, family, stable):
    samples = tiny_backbones.noise()
    expected, last = raw_outputs(tiny_backbones.build(family, stable), samples)
    ours = backbone(tmp_path, family, stable).eval()
    passes = []
    ours.model.encoder.layers[0].register_forward_hook(lambda *_: passes.append(1))
    with torch.inference_mode():
        layers = ours(samples)
    assert len(layers) == ours.depth == 4 and len(passes) == 1
    assert layers[0].shape == (2, ours.steps(4_000), ours.channels) == (2, 12, 32)
    assert ours.hop == 320 and ours.steps(64_600) == 201
    for found, wanted in zip(layers, expected, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    # with stable layer norm the model's own last output is normalised once more
    assert torch.allclose(layers[-1], last, atol=1e-3) is not stable


@pytest.mark.parametrize("family", FAMILIES)
def test_attention_is_computed_by_sdpa(tmp_path, family, monkeypatch):
    ours = backbone(tmp_path, family).eval()
    calls = []
    real = F.scaled_dot_product_attention

    def counted(*args, **kwargs):
        calls.append(1)
        return real(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", counted)
    ours(tiny_backbones.noise())
    assert len(calls) == ours.depth


@pytest.mark.parametrize(("family", "stable"), EVERY)
def test_every_trained_weight_gets_a_gradient_in_every_step(tmp_path, family, stable):
    """Nothing is dropped at random, and nothing is left over that no layer's output depends on."""
    ours = backbone(tmp_path, family, stable).train()
    for _ in range(3):
        ours.zero_grad(set_to_none=True)
        sum(layer.square().sum() for layer in ours(tiny_backbones.noise())).backward()
        bare = [name for name, p in ours.named_parameters() if p.requires_grad and p.grad is None]
        assert bare == []


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_checkpointing_changes_no_gradient(tmp_path, family):
    gradients = []
    for number, checkpointing in enumerate((False, True)):
        ours = backbone(
            tmp_path / str(number), family, gradient_checkpointing=checkpointing
        ).train()
        torch.manual_seed(1)
        layers = ours(tiny_backbones.noise())
        assert len(layers) == ours.depth
        sum(layer.square().mean() for layer in layers).backward()
        gradients.append({name: p.grad for name, p in ours.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, msg=name)


def test_what_is_frozen_does_not_train_and_does_not_vary(tmp_path):
    folder = tiny_backbones.save(tmp_path)

    def trained(**fields):
        ours = SslBackbone(SslConfig(model=folder, **fields)).train()
        return ours, {name for name, p in ours.named_parameters() if p.requires_grad}

    _, everything = trained()
    _, features = trained(freeze="features")
    assert everything - features == {n for n in everything if ".feature_extractor." in n} != set()
    _, upper = trained(freeze="features", freeze_layers=3)
    frozen = {n for n in features if any(f".layers.{i}." in n for i in range(3))}
    assert features - upper == frozen != set()
    ours, nothing = trained(freeze="all")
    assert nothing == set()
    samples = tiny_backbones.noise()
    assert torch.equal(ours(samples)[-1], ours(samples)[-1])  # though it is in training mode
    with pytest.raises(UsageError, match="the model has 4 layers"):
        trained(freeze_layers=5)


@pytest.mark.parametrize("family", FAMILIES)
def test_adapters_alone_train_and_are_merged_on_export(tmp_path, family):
    pytest.importorskip("peft")
    ours = backbone(tmp_path, family, lora={"rank": 2, "alpha": 4.0}).train()
    samples = tiny_backbones.noise()
    optimiser = torch.optim.Adam([p for p in ours.parameters() if p.requires_grad], 0.1)
    for _ in range(2):  # the second factor starts at zero, so that the first moves in step two
        optimiser.zero_grad(set_to_none=True)
        sum(layer.square().mean() for layer in ours(samples)).backward()
        optimiser.step()
    trained = {name: p for name, p in ours.named_parameters() if p.requires_grad}
    assert len(trained) == 2 * 2 * ours.depth and all("lora_" in name for name in trained)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in trained.values())
    before = ours.eval()(samples)
    config, tensors = ours.exported()
    assert config.model is None and config.lora is None
    assert not any("lora" in name or "base_layer" in name for name in tensors)
    again = SslBackbone(config)
    again.load_state_dict(tensors)
    for found, wanted in zip(again.eval()(samples), before, strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-4)
    untrained = SslBackbone(SslConfig(model=str(tmp_path))).eval()(samples)
    assert not torch.allclose(untrained[-1], before[-1], atol=1e-3)
    assert torch.equal(ours(samples)[-1], before[-1])  # exporting merged a copy


@pytest.mark.parametrize(("family", "stable"), EVERY)
def test_what_is_exported_needs_no_folder(tmp_path, family, stable):
    ours = backbone(tmp_path, family, stable, normalise=True, gradient_checkpointing=True).eval()
    config, tensors = ours.exported()
    dumped = config.model_dump(mode="json")
    assert dumped["model"] is None and dumped["gradient_checkpointing"] is False
    assert str(tmp_path) not in str(dumped)
    again = SslBackbone(SslConfig.model_validate(dumped))
    again.load_state_dict(tensors, strict=True)
    samples = tiny_backbones.noise()
    with torch.inference_mode():
        assert torch.equal(again.eval()(samples)[-1], ours(samples)[-1])


def test_normalised_windows_have_no_level(tmp_path):
    samples = tiny_backbones.noise()
    plain = backbone(tmp_path).eval()
    level = SslBackbone(SslConfig(model=str(tmp_path), normalise=True)).eval()
    with torch.inference_mode():
        torch.testing.assert_close(level(samples)[0], level(0.1 * samples)[0], atol=1e-3, rtol=0)
        assert not torch.allclose(plain(samples)[0], plain(0.1 * samples)[0], atol=1e-3)


def test_weights_are_safetensors_that_are_whole_and_here(tmp_path):
    with pytest.raises(MissingRequirement, match="neither a local folder nor in the local cache"):
        SslBackbone(SslConfig(model="nobody/no-such-model"))
    pickled = tmp_path / "pickled"
    tiny_backbones.save(pickled)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(MissingRequirement, match="no safetensors weights"):
        SslBackbone(SslConfig(model=str(pickled)))
    from safetensors.torch import load_file, save_file

    partial = tmp_path / "partial"
    tiny_backbones.save(partial)
    tensors = load_file(partial / "model.safetensors")
    del tensors["encoder.layers.2.attention.k_proj.weight"]
    save_file(tensors, partial / "model.safetensors", {"format": "pt"})
    with pytest.raises(UsageError, match=r"lacks weights: encoder\.layers\.2"):
        SslBackbone(SslConfig(model=str(partial)))


def test_a_model_of_pretraining_loads_without_its_heads(tmp_path):
    import transformers

    config = tiny_backbones.build().config
    transformers.Wav2Vec2ForPreTraining(config).save_pretrained(tmp_path)
    assert SslBackbone(SslConfig(model=str(tmp_path))).depth == 4


def test_odd_configs_are_refused():
    with pytest.raises(UsageError, match="'bert' model"):
        SslBackbone(SslConfig(transformers={"model_type": "bert"}))
    with pytest.raises(ValueError, match="name either"):
        SslConfig()
    with pytest.raises(ValueError, match="name either"):
        SslConfig(model="x", transformers={})
    with pytest.raises(ValueError, match="frozen already"):
        SslConfig(model="x", freeze="all", lora={})  # pyright: ignore[reportArgumentType]
    tiny = {"model_type": "wav2vec2", **tiny_backbones.SIZES}
    with pytest.raises(UsageError, match="cannot build"):
        SslBackbone(SslConfig(transformers=tiny | {"conv_dim": [16]}))
    with pytest.raises(UsageError, match="no LoRA adapters"):
        SslBackbone(SslConfig(transformers=tiny, lora={"targets": ["nowhere"]}))  # pyright: ignore
    with pytest.raises(ValueError, match="no spectrogram"):
        SslBackbone(SslConfig(transformers=tiny))(tiny_backbones.noise(), torch.ones(2, 1, 1))
