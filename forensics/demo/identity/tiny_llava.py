"""A LLaVA of a few hundred thousand weights: built, and saved as the real one is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from forensics.demo.identity.portraits import LOOKS, SCENES, SIDE
from forensics.networks.vlm.prompts import prompts

WIDTH, LAYERS, PATCH = 64, 3, 8
NAMES = {"a": ("ann", "bob"), "b": ("cyd", "dee")}
NOTES = ("clean", "touched")
_SPECIAL = ("<unk>", "<pad>", "<s>", "</s>", "<image>")


def words() -> list[str]:
    """Everything that is ever said: words of the prompts, of looks and of scenes."""
    found = {word for text in _texts(prompts()) for word in text.split() if "{" not in word}
    found |= {"yes", "no", *NOTES, *LOOKS, *SCENES}
    found |= {name for names in NAMES.values() for name in names}
    found |= {word for slots in (LOOKS, SCENES) for values in slots.values() for word in values}
    return [*_SPECIAL, *sorted(found)]


def build(folder: Path, seed: int) -> None:
    """Random weights, as a folder that `open_vlm` opens."""
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    known = words()
    raw = Tokenizer(models.WordLevel({word: i for i, word in enumerate(known)}, unk_token="<unk>"))
    raw.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # pyright: ignore
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw,
        unk_token="<unk>",
        pad_token="<pad>",
        eos_token="</s>",
        additional_special_tokens=["<image>"],
        model_max_length=512,
    )
    shape: dict[str, Any] = {
        "hidden_size": WIDTH,
        "intermediate_size": 2 * WIDTH,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": 4,
    }
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(
            **shape, image_size=SIDE, patch_size=PATCH, projection_dim=WIDTH
        ),
        text_config=transformers.LlamaConfig(
            **shape,
            vocab_size=len(known),
            num_key_value_heads=4,
            max_position_embeddings=512,
            initializer_range=0.1,
            bos_token_id=None,
            eos_token_id=known.index("</s>"),
            pad_token_id=known.index("<pad>"),
        ),
        image_token_index=known.index("<image>"),
        image_seq_length=(SIDE // PATCH) ** 2,
        vision_feature_layer=-1,
    )
    processor = transformers.LlavaProcessor(
        image_processor=transformers.CLIPImageProcessor(
            size={"shortest_edge": SIDE},
            crop_size={"height": SIDE, "width": SIDE},
            image_mean=[0.5] * 3,
            image_std=[0.5] * 3,
        ),
        tokenizer=tokenizer,
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = transformers.LlavaForConditionalGeneration(config)
        _wake(model.model.vision_tower)
        _wake(model.model.multi_modal_projector)
        # Tokens of pictures begin as long as those of words.
        model.model.multi_modal_projector.linear_2.weight.data *= 0.2
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _wake(part: torch.nn.Module) -> None:
    """CLIP's own start is made for wider layers: a narrow tower learns little from it for long."""
    for one in part.modules():
        if isinstance(one, torch.nn.Linear | torch.nn.Conv2d):
            torch.nn.init.xavier_uniform_(one.weight.data.view(len(one.weight), -1))
        elif isinstance(one, torch.nn.Embedding):
            torch.nn.init.normal_(one.weight, std=0.2)


def _texts(part: Any) -> list[str]:
    if isinstance(part, dict):
        return [text for value in part.values() for text in _texts(value)]
    return [part] if isinstance(part, str) else []
