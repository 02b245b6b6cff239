"""Models of the wav2vec 2.0 family as layer-wise detection needs them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from forensics.errors import UsageError

FAMILIES = ("wav2vec2", "wavlm", "hubert")
# Every layer must run in every step, nothing of the input is masked, and nothing follows the last
# layer: what a layer-wise head does not use would only be parameters without gradients.
_SETTINGS: dict[str, Any] = {
    "layerdrop": 0.0,
    "apply_spec_augment": False,
    "mask_time_prob": 0.0,
    "mask_feature_prob": 0.0,
    "add_adapter": False,
}


def from_fields(fields: Mapping[str, Any]) -> Any:
    """A model with random weights.

    Args:
        fields: of a transformers config, `model_type` among them.

    Raises:
        UsageError: another family, or fields that transformers refuses.
    """
    import transformers
    from huggingface_hub.errors import StrictDataclassError

    kind = _known_family(fields.get("model_type"), "the architecture")
    others = {name: value for name, value in fields.items() if name != "model_type"}
    try:
        config = transformers.AutoConfig.for_model(kind, **(others | _SETTINGS))
        model = transformers.AutoModel.from_config(config, attn_implementation=_attention(kind))
    except (ValueError, TypeError, StrictDataclassError) as error:
        raise UsageError(
            f"transformers cannot build this {kind}: {error}", "mend backbone.transformers"
        ) from error
    return _for_layers(model)


def pretrained(folder: Path) -> Any:
    """A model with a folder's weights, in float32.

    Raises:
        UsageError: another family, or weights that lack parts.
    """
    import transformers

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    found = transformers.AutoConfig.from_pretrained(str(folder), **local)
    kind = _known_family(found.model_type, str(folder))
    for name, value in _SETTINGS.items():
        setattr(found, name, value)
    with _silent():
        model, report = transformers.AutoModel.from_pretrained(
            str(folder),
            config=found,
            use_safetensors=True,
            attn_implementation=_attention(kind),
            dtype=torch.float32,
            output_loading_info=True,
            **local,
        )
    if report["missing_keys"]:
        raise UsageError(
            f"{folder} lacks weights: {', '.join(sorted(report['missing_keys'])[:5])}",
            "name the folder of a whole model",
        )
    return _for_layers(model)


def _for_layers(model: Any) -> Any:
    if getattr(model.config, "do_stable_layer_norm", False):
        model.encoder.layer_norm = nn.Identity()  # follows the last layer
    if model.config.model_type == "wavlm":
        _use_sdpa(model)
    return model


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Without transformers' progress bar and its report of heads that are not wanted here."""
    from transformers.utils import logging

    shown, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if shown:
            logging.enable_progress_bar()


def _known_family(kind: Any, where: str) -> str:
    if kind not in FAMILIES:
        raise UsageError(
            f"{where} names a {kind!r} model", f"backbones are of: {', '.join(FAMILIES)}"
        )
    return kind


def _attention(kind: str) -> str:
    return "eager" if kind == "wavlm" else "sdpa"  # see `_use_sdpa`


def _use_sdpa(model: nn.Module) -> None:
    """WavLM's attention in transformers computes weights that nobody reads, and takes its
    projections' weights past their `forward`, where adapters would not act."""
    module: Any
    for module in model.modules():
        if hasattr(module, "torch_multi_head_self_attention"):
            module.torch_multi_head_self_attention = MethodType(_wavlm_attention, module)


def _wavlm_attention(
    self: Any, hidden_states: Tensor, attention_mask: None, gated_position_bias: Tensor, *_: Any
) -> tuple[Tensor, None]:
    """(B, T, C) → (B, T, C); the gated position bias (B * heads, T, T) is added to the logits."""
    rows, steps, width = hidden_states.shape
    query, key, value = (
        project(hidden_states).view(rows, steps, self.num_heads, -1).transpose(1, 2)
        for project in (self.q_proj, self.k_proj, self.v_proj)
    )
    bias = gated_position_bias.view(rows, self.num_heads, steps, steps).to(query.dtype)
    mixed = F.scaled_dot_product_attention(
        query, key, value, attn_mask=bias, dropout_p=self.dropout if self.training else 0.0
    )
    return self.out_proj(mixed.transpose(1, 2).reshape(rows, steps, width)), None
