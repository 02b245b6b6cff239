"""Checkpoints named as the author code of HierCon and SLS names them, on a tiny wav2vec 2.0.

fairseq itself is not here: the names are written from the tiny transformers model, and `layers`
computes what fairseq computes, from the fairseq-named weights alone.
"""

from __future__ import annotations

import torch
from helpers import tiny_backbones
from torch.nn import functional as F

PREFIX = "ssl_model.model."
LAYER = {
    "attention.k_proj": "self_attn.k_proj",
    "attention.v_proj": "self_attn.v_proj",
    "attention.q_proj": "self_attn.q_proj",
    "attention.out_proj": "self_attn.out_proj",
    "layer_norm": "self_attn_layer_norm",
    "feed_forward.intermediate_dense": "fc1",
    "feed_forward.output_dense": "fc2",
    "final_layer_norm": "final_layer_norm",
}
STRIDES = [5, 2, 2, 2, 2, 2, 2]


def backbone(stable=True, seed=0):
    """fairseq names → weights of a model in pretraining, drawn."""
    model = tiny_backbones.build("wav2vec2", stable, seed)
    state = model.state_dict()
    named = {"mask_emb": state["masked_spec_embed"]}
    for i in range(7):
        ours = f"feature_extractor.conv_layers.{i}"
        named[f"{ours}.0.weight"] = state[f"{ours}.conv.weight"]
        if stable:
            named[f"{ours}.0.bias"] = state[f"{ours}.conv.bias"]
        if stable or i == 0:
            norm = f"{ours}.2.1" if stable else f"{ours}.2"
            for part in ("weight", "bias"):
                named[f"{norm}.{part}"] = state[f"{ours}.layer_norm.{part}"]
    for part in ("weight", "bias"):
        named[f"layer_norm.{part}"] = state[f"feature_projection.layer_norm.{part}"]
        named[f"post_extract_proj.{part}"] = state[f"feature_projection.projection.{part}"]
        named[f"encoder.layer_norm.{part}"] = state[f"encoder.layer_norm.{part}"]
        for i in range(model.config.num_hidden_layers):
            for ours, theirs in LAYER.items():
                named[f"encoder.layers.{i}.{theirs}.{part}"] = state[
                    f"encoder.layers.{i}.{ours}.{part}"
                ]
    conv = "encoder.pos_conv_embed.conv"
    named["encoder.pos_conv.0.bias"] = state[f"{conv}.bias"]
    named["encoder.pos_conv.0.weight_g"] = state[f"{conv}.parametrizations.weight.original0"]
    named["encoder.pos_conv.0.weight_v"] = state[f"{conv}.parametrizations.weight.original1"]
    named["quantizer.vars"] = torch.zeros(1, 640, 8)
    named["quantizer.weight_proj.weight"] = torch.zeros(640, 16)
    named["project_q.weight"] = torch.zeros(8, 16)
    named["final_proj.bias"] = torch.zeros(8)
    return named


def layers(named, samples, stable=True, heads=4):
    """(B, T) samples → each layer's output, as fairseq's `features_only` forward gives them."""

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], named[f"{name}.weight"], named[f"{name}.bias"])

    def linear(x, name):
        return F.linear(x, named[f"{name}.weight"], named[f"{name}.bias"])

    x = samples.unsqueeze(1)
    for i, stride in enumerate(STRIDES):
        conv = f"feature_extractor.conv_layers.{i}"
        x = F.conv1d(x, named[f"{conv}.0.weight"], named.get(f"{conv}.0.bias"), stride)
        if stable:
            x = norm(x.transpose(1, 2), f"{conv}.2.1").transpose(1, 2)
        elif i == 0:
            weight, bias = named[f"{conv}.2.weight"], named[f"{conv}.2.bias"]
            x = F.group_norm(x, x.shape[1], weight, bias)
        x = F.gelu(x)
    x = linear(norm(x.transpose(1, 2), "layer_norm"), "post_extract_proj")

    length, direction = named["encoder.pos_conv.0.weight_g"], named["encoder.pos_conv.0.weight_v"]
    weight = length * direction / direction.norm(dim=(0, 1), keepdim=True)
    kernel, groups = weight.shape[2], weight.shape[0] // weight.shape[1]
    bias = named["encoder.pos_conv.0.bias"]
    place = F.conv1d(x.transpose(1, 2), weight, bias, padding=kernel // 2, groups=groups)
    x = x + F.gelu(place[..., : x.shape[1]]).transpose(1, 2)
    if not stable:
        x = norm(x, "encoder.layer_norm")

    def attended(x, name):
        rows, steps, width = x.shape
        query, key, value = (
            linear(x, f"{name}.{part}_proj").view(rows, steps, heads, -1).transpose(1, 2)
            for part in "qkv"
        )
        weights = (query @ key.transpose(2, 3) / (width // heads) ** 0.5).softmax(-1)
        return linear((weights @ value).transpose(1, 2).flatten(2), f"{name}.out_proj")

    outputs = []
    count = sum(name.endswith("fc1.weight") for name in named)
    for i in range(count):
        layer = f"encoder.layers.{i}"
        before, after = f"{layer}.self_attn_layer_norm", f"{layer}.final_layer_norm"
        if stable:
            x = x + attended(norm(x, before), f"{layer}.self_attn")
            x = x + linear(F.gelu(linear(norm(x, after), f"{layer}.fc1")), f"{layer}.fc2")
        else:
            x = norm(x + attended(x, f"{layer}.self_attn"), before)
            x = norm(x + linear(F.gelu(linear(x, f"{layer}.fc1")), f"{layer}.fc2"), after)
        outputs.append(x)
    return outputs


def _drawn(shapes):
    generator = torch.Generator().manual_seed(7)
    return {
        name: torch.rand(shape, generator=generator) * 0.4 - 0.1 for name, shape in shapes.items()
    }


def sls_head(channels=32, steps=201, hidden=6):
    return _drawn(
        {
            "first_bn.weight": (1,),
            "first_bn.bias": (1,),
            "first_bn.running_mean": (1,),
            "fc0.weight": (1, channels),
            "fc0.bias": (1,),
            "fc1.weight": (hidden, (steps // 3) * (channels // 3)),
            "fc1.bias": (hidden,),
            "fc3.weight": (2, hidden),
            "fc3.bias": (2,),
        }
    ) | {
        "first_bn.running_var": torch.tensor([1.3]),
        "first_bn.num_batches_tracked": torch.tensor(5),
    }


def hiercon_head(channels=32, attention=8):
    half, quarter = channels // 2, channels // 4
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name, inputs, outputs):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)

    def norm(name, width):
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    for pool in ("temporal_attn", "intra_attn", "inter_attn"):
        linear(f"{pool}.proj", channels, attention)
        shapes[f"{pool}.score.weight"] = (1, attention)
        norm(f"{pool}.layer_norm", channels)
    for refine in ("group_refine", "utt_refine"):
        norm(f"{refine}.net.0", channels)
        linear(f"{refine}.net.1", channels, half)
        linear(f"{refine}.net.4", half, channels)
    for i, (inputs, outputs) in {1: (channels, half), 5: (half, quarter), 9: (quarter, 2)}.items():
        linear(f"classifier.{i}", inputs, outputs)
    for i, (inputs, outputs) in {
        0: (channels, half),
        4: (half, quarter),
        8: (quarter, channels // 8),
    }.items():
        linear(f"projection_head.{i}", inputs, outputs)
    for name, width in (
        ("classifier.2", half),
        ("classifier.6", quarter),
        ("projection_head.1", half),
        ("projection_head.5", quarter),
    ):
        norm(name, width)
    return _drawn(shapes)


def checkpoint(head, stable=True):
    return {PREFIX + name: tensor for name, tensor in backbone(stable).items()} | head
