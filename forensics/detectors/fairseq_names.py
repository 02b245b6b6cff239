"""Published detectors on fairseq's wav2vec 2.0: their names and sizes, in ours.

The author code of HierCon and SLS keeps fairseq's model under `ssl_model.model.` and the layers of
the head beside it. What a checkpoint does not show in its shapes is what all published wav2vec 2.0
models have in common; the attention heads follow from the width for the published sizes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from forensics.errors import UsageError

if TYPE_CHECKING:
    import torch

BACKBONE = "ssl_model.model."
HEADS = {768: 12, 1024: 16, 1280: 16, 1920: 16}  # base; large and 300M; 1B; 2B
KERNELS, STRIDES = [10, 3, 3, 3, 3, 2, 2], [5, 2, 2, 2, 2, 2, 2]

# Parts of pretraining, and the norm that follows the last layer where norms come first.
_UNUSED = ("mask_emb", "quantizer.", "project_q.", "final_proj.")
_POSITION = "encoder.pos_conv_embed.conv"
_BACKBONE_NAMES = (
    (r"feature_extractor\.conv_layers\.(\d+)\.0\.", r"feature_extractor.conv_layers.\1.conv."),
    (
        r"feature_extractor\.conv_layers\.(\d+)\.2\.(?:1\.)?",
        r"feature_extractor.conv_layers.\1.layer_norm.",
    ),
    (r"post_extract_proj\.", "feature_projection.projection."),
    (r"layer_norm\.", "feature_projection.layer_norm."),
    (
        r"encoder\.pos_conv\.0\.weight_g",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original0",
    ),
    (
        r"encoder\.pos_conv\.0\.weight_v",
        "encoder.pos_conv_embed.conv.parametrizations.weight.original1",
    ),
    (r"encoder\.pos_conv\.0\.bias", "encoder.pos_conv_embed.conv.bias"),
    (r"encoder\.layers\.(\d+)\.self_attn_layer_norm\.", r"encoder.layers.\1.layer_norm."),
    (r"encoder\.layers\.(\d+)\.self_attn\.", r"encoder.layers.\1.attention."),
    (r"encoder\.layers\.(\d+)\.fc1\.", r"encoder.layers.\1.feed_forward.intermediate_dense."),
    (r"encoder\.layers\.(\d+)\.fc2\.", r"encoder.layers.\1.feed_forward.output_dense."),
)
_POOL = {"proj.": "hidden.", "score.": "vector.", "layer_norm.": "norm."}
_HEAD_NAMES = {
    "hiercon": {
        **{
            f"{theirs}.{part}": f"{ours}.{name}"
            for theirs, ours in (
                ("temporal_attn", "over_time"),
                ("intra_attn", "in_group"),
                ("inter_attn", "over_groups"),
            )
            for part, name in _POOL.items()
        },
        "group_refine.net.": "refine_group.inner.",
        "utt_refine.net.": "refine.inner.",
        "projection_head.": "projection.",
        "classifier.9.": "output.linear.",
        "classifier.": "classifier.",
    },
    "sls": {"first_bn.": "norm.", "fc0.": "gate.", "fc1.": "flat.", "fc3.": "output."},
}


@dataclass(frozen=True)
class Renamed:
    """A checkpoint under our names.

    Attributes:
        architecture: from which the detector builds its network.
        tensors: the state dict; names that nothing is known of stay as they are.
        left_out: keys of the checkpoint that detection has no use for.
    """

    architecture: dict[str, Any]
    tensors: dict[str, torch.Tensor]
    left_out: tuple[str, ...]


def renamed(family: str, tensors: Mapping[str, torch.Tensor], heads: int | None) -> Renamed:
    """Convert a checkpoint of `family`, "hiercon" or "sls".

    Args:
        heads: of the backbone's attention; None for the published sizes.

    Raises:
        UsageError: there is no fairseq wav2vec 2.0 in it, or one of an unknown size.
    """
    backbone = {
        name.removeprefix(BACKBONE): tensor
        for name, tensor in tensors.items()
        if name.startswith(BACKBONE)
    }
    described = _described(backbone, heads)
    unused = _UNUSED + (("encoder.layer_norm.",) if described["do_stable_layer_norm"] else ())
    kept = {name: tensor for name, tensor in backbone.items() if not name.startswith(unused)}
    ours = {f"backbone.model.{_backbone_name(name)}": tensor for name, tensor in kept.items()}
    for name, tensor in tensors.items():
        if not name.startswith(BACKBONE):
            ours[_head_name(family, name)] = tensor
    architecture = {
        "backbone": {"kind": "ssl", "transformers": described},
        **_head_sizes(family, tensors),
    }
    left_out = tuple(BACKBONE + name for name in backbone if name not in kept)
    return Renamed(architecture, ours, left_out)


def _described(backbone: Mapping[str, torch.Tensor], heads: int | None) -> dict[str, Any]:
    """The transformers config of a backbone, from the shapes of its weights."""
    try:
        width = backbone["post_extract_proj.weight"].shape[0]
        inner = backbone["encoder.layers.0.fc1.weight"].shape[0]
        _, position_inputs, position_kernel = backbone["encoder.pos_conv.0.weight_v"].shape
        convs = [
            backbone[f"feature_extractor.conv_layers.{i}.0.weight"].shape
            for i in range(len(KERNELS))
        ]
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"the checkpoint holds no fairseq wav2vec 2.0 under {BACKBONE} ({error})",
            "import the state dict of an unchanged published model",
        ) from error
    if [shape[-1] for shape in convs] != KERNELS:
        raise UsageError("the convolutions are not those of wav2vec 2.0")
    heads = heads or HEADS.get(width)
    if heads is None:
        raise UsageError(
            f"no published wav2vec 2.0 has {width} channels", "name its attention --heads"
        )
    norm_first = "feature_extractor.conv_layers.1.2.1.weight" in backbone
    return {
        "model_type": "wav2vec2",
        "hidden_size": width,
        "num_hidden_layers": len({n.split(".")[2] for n in backbone if _LAYER.match(n)}),
        "num_attention_heads": heads,
        "intermediate_size": inner,
        "conv_dim": [shape[0] for shape in convs],
        "conv_kernel": KERNELS,
        "conv_stride": STRIDES,
        "conv_bias": "feature_extractor.conv_layers.0.0.bias" in backbone,
        "num_conv_pos_embeddings": position_kernel,
        "num_conv_pos_embedding_groups": width // position_inputs,
        "feat_extract_norm": "layer" if norm_first else "group",
        "do_stable_layer_norm": norm_first,
    }


_LAYER = re.compile(r"encoder\.layers\.\d+\.")


def _backbone_name(name: str) -> str:
    for theirs, ours in _BACKBONE_NAMES:
        if (found := re.match(theirs, name)) is not None:
            return found.expand(ours) + name[found.end() :]
    return name


def _head_name(family: str, name: str) -> str:
    for theirs, ours in _HEAD_NAMES[family].items():
        if name.startswith(theirs):
            return f"head.{ours}{name.removeprefix(theirs)}"
    return name


def _head_sizes(family: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    if family == "sls":
        flat = tensors.get("fc1.weight")
        return {} if flat is None else {"hidden": flat.shape[0]}
    attention = tensors.get("temporal_attn.proj.weight")
    sizes: dict[str, Any] = {} if attention is None else {"attention": attention.shape[0]}
    return {**sizes, "projection": "projection_head.0.weight" in tensors}
