"""What identity tokens need at real size: parameters counted on models without weights.

No weights are read: each model is built on torch's meta device from the sizes that its authors
publish, and its parameters are counted. Activations are computed from shapes, of one example.

    python benchmarks/vlm_memory.py
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import transformers

from forensics.networks.vlm.adapter import AdapterConfig, DetectionAdapter

GIB = 2**30
TEXT = 160  # tokens of a prompt with its answer, at most
ADAPTER = AdapterConfig(layer=2, tokens=16, hidden=1024)
_CLIP: dict[str, Any] = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "image_size": 336, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip


@dataclass(frozen=True)
class Real:
    """A published model.

    Attributes:
        images: visual tokens of one square photo.
    """

    name: str
    model: Any
    images: int

    def parts(self) -> dict[str, int]:
        counts = {"vision": 0, "language": 0, "embedding": 0}
        for name, one in self.model.named_parameters():
            outer = "embed_tokens" in name or "lm_head" in name
            seen = "visual" in name or "vision" in name or "projector" in name
            counts["embedding" if outer else "vision" if seen else "language"] += one.numel()
        return counts


def llama(width: int, inner: int, layers: int, heads: int) -> Any:
    return transformers.LlamaConfig(
        vocab_size=32064, hidden_size=width, intermediate_size=inner, num_hidden_layers=layers,
        num_attention_heads=heads, num_key_value_heads=heads,
    )  # fmt: skip


def models() -> list[Real]:
    vision = transformers.CLIPVisionConfig(**_CLIP)
    with torch.device("meta"):
        next_13 = transformers.LlavaNextForConditionalGeneration(
            transformers.LlavaNextConfig(
                vision_config=vision, text_config=llama(5120, 13824, 40, 40)
            )
        )
        llava_7 = transformers.LlavaForConditionalGeneration(
            transformers.LlavaConfig(vision_config=vision, text_config=llama(4096, 11008, 32, 32))
        )
        qwen_7 = transformers.Qwen2_5_VLForConditionalGeneration(
            transformers.Qwen2_5_VLConfig(
                text_config={
                    "vocab_size": 152064, "hidden_size": 3584, "intermediate_size": 18944,
                    "num_hidden_layers": 28, "num_attention_heads": 28, "num_key_value_heads": 4,
                    "tie_word_embeddings": False,
                },
                vision_config={
                    "depth": 32, "hidden_size": 1280, "intermediate_size": 3420, "num_heads": 16,
                    "out_hidden_size": 3584, "patch_size": 14, "spatial_merge_size": 2,
                    "window_size": 112, "fullatt_block_indexes": [7, 15, 23, 31],
                },
            )
        )  # fmt: skip
    # LLaVA-1.6: a small view and four tiles of 24 x 24, and 48 ends of rows.
    return [
        Real("LLaVA-1.6-vicuna-13B", next_13, 5 * 576 + 48),
        Real("LLaVA-1.5-7B", llava_7, 576),
        Real("Qwen2.5-VL-7B at 448 x 448", qwen_7, 256),
    ]


def row(real: Real) -> str:
    counts = real.parts()
    total = sum(counts.values())
    config = real.model.config.get_text_config()
    width, layers = config.hidden_size, config.num_hidden_layers
    length = real.images + ADAPTER.tokens + TEXT
    bf16 = 2 * total / GIB
    # nf4 takes 4 bits and a scale of 8 bits each 64 weights, which double quantisation is not used
    # for; embedding and LM head stay as they are, and vision encoders are quantised too.
    four = (total - counts["embedding"]) * (0.5 + 4 / 64) / GIB + 2 * counts["embedding"] / GIB
    # Recomputed layers keep their inputs; the one that is being recomputed about 34 values a token
    # and channel (Korthikanti et al. 2022, with attention that is not written out).
    kept = 2 * length * width * (layers + 17) / GIB
    cache = (
        2 * 2 * length * layers * config.num_key_value_heads * (width // config.num_attention_heads)
    )
    shallow = real.model.config.vision_config.hidden_size
    adapter = sum(p.numel() for p in DetectionAdapter(ADAPTER, shallow, width).parameters())
    seen = 2 * (real.images * width + real.images * shallow) / 2**20
    return (
        f"| {real.name} | {total / 1e9:.2f} B | {bf16:.1f} | {four:.1f} | {length} | {kept:.2f} | "
        f"{cache / GIB:.2f} | {adapter / 1e6:.1f} M | {2 * 10 * width * 4 / 1024:.0f} | "
        f"{seen:.0f} |"
    )


def main() -> None:
    print(
        "| model | parameters | bf16, GiB | 4 bit, GiB | tokens of an example | "
        "activations of one example, recomputed, GiB | key-value cache, GiB | adapter | "
        "tokens of a person, KiB | one encoded picture, MiB |"
    )
    print("|" + " --- |" * 10)
    for real in models():
        print(row(real), flush=True)


if __name__ == "__main__":
    main()
