"""Tiny models of the wav2vec 2.0 family with random weights, saved as the hub has them."""

from __future__ import annotations

import torch
import transformers

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "conv_dim": [16] * 7,
    "num_conv_pos_embeddings": 16,
    "num_conv_pos_embedding_groups": 4,
}
# As XLS-R, MMS and the large WavLM and HuBERT have it, and as the base ones.
STABLE = {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True}
BASE = {"feat_extract_norm": "group", "do_stable_layer_norm": False}
MODELS = {
    "wav2vec2": transformers.Wav2Vec2Model,
    "wavlm": transformers.WavLMModel,
    "hubert": transformers.HubertModel,
}


def build(family="wav2vec2", stable=True, seed=0, **fields):
    """A model whose every weight matters: norms and biases too are drawn."""
    cls = MODELS[family]
    config = cls.config_class(**SIZES | (STABLE if stable else BASE) | fields)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = cls(config)
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if name.endswith("bias"):
                    weight.normal_(0, 0.1)
                elif weight.dim() == 1:
                    weight.uniform_(0.5, 1.5)
    return model.eval()


def save(folder, family="wav2vec2", stable=True, **fields):
    """The folder that a config names as its model."""
    build(family, stable, **fields).save_pretrained(folder)
    return str(folder)


def noise(rows=2, samples=4_000, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(rows, samples, generator=generator)
