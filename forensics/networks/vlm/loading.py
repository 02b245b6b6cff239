"""Opens a vision-language model from this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.networks.vlm.card import CARD, LoraConfig, VlmCard, VlmFolder
from forensics.networks.vlm.face_vlm import FaceVlm
from forensics.networks.vlm.families import family_of
from forensics.networks.vlm.prompts import version
from forensics.requirements import SafetensorsModel, model_folder
from forensics.scenes.pretrained import LOCAL_ONLY, Placed, load_pretrained, weights_digest

Quantisation = Literal["4bit", "8bit"]


def open_vlm(
    folder_or_hub: str | Path,
    device: str = "cpu",
    quantisation: Quantisation | None = None,
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto",
) -> FaceVlm:
    """A model that is asked about faces, without identities.

    Args:
        folder_or_hub: what training wrote (with `vlm.json`), a base model's folder, or a hub id
            that is in the local cache. The network is never asked.
        quantisation: of the base's linear layers, through bitsandbytes, on CUDA.
        dtype: of the weights; "auto" is float32 on a CPU and the checkpoint's own elsewhere.

    Raises:
        MissingRequirement: the base, bitsandbytes or peft is not on this machine.
        UsageError: a model of another family, or that lacks parts.
        CorpusError: a trained folder that does not match its hashes or its base.
    """
    folder = Path(folder_or_hub).expanduser()
    trained = VlmFolder.load(folder) if (folder / CARD).is_file() else None
    base = trained.card.base if trained else str(folder_or_hub)
    needed = SafetensorsModel(base, example="llava-hf/llava-1.5-7b-hf")
    if (missing := needed.missing()) is not None:
        raise MissingRequirement(missing, needed.fix())
    digest = weights_digest(base)
    if trained and trained.card.base_sha256 != digest:
        raise CorpusError(f"{base} is not the base that {folder} was trained on", "get that base")
    if trained and trained.card.prompts != version():
        raise CorpusError(
            f"{folder} was trained with prompts {trained.card.prompts}, these are {version()}",
            "train it again",
        )
    family = family_of(_model_type(base), base)
    placed = Placed(device=device, dtype=dtype)
    network, processor = load_pretrained(
        family.model_class, base, placed, _quantised(quantisation, device)
    )
    card = trained.card if trained else VlmCard(base=base, base_sha256=digest, prompts=version())
    vlm = FaceVlm(family(network, processor), card)
    if trained:
        _restore(vlm, trained)
    return vlm


def add_lora(vlm: FaceVlm, config: LoraConfig) -> dict[str, torch.nn.Parameter]:
    """Low-rank updates beside linear layers of the language model, zero at first; by name.

    Raises:
        MissingRequirement: peft is not installed.
        UsageError: no layer has such a name.
    """
    try:
        import peft
    except ImportError as error:
        raise MissingRequirement("LoRA needs peft", "pip install 'forensics[lora]'") from error
    # Only the language model: vision encoders use the same names.
    made = peft.LoraConfig(
        r=config.rank,
        lora_alpha=config.alpha,  # pyright: ignore[reportArgumentType]
        target_modules=rf".*language_model.*\.({'|'.join(config.targets)})",
        init_lora_weights=True,
    )
    try:
        peft.inject_adapter_in_model(made, vlm.network)
    except ValueError as error:
        raise UsageError(
            f"LoRA cannot be added: {error}", "name linear layers in lora.targets"
        ) from error
    found = {name: one for name, one in vlm.network.named_parameters() if ".lora_" in name}
    for one in found.values():
        one.data = one.data.float()
    vlm.network.eval()
    return found


def _restore(vlm: FaceVlm, trained: VlmFolder) -> None:
    """Put the trained tensors in their places; all must fit and none may be left."""
    tensors, card = trained.tensors(), trained.card
    places: dict[str, torch.Tensor] = {}
    if card.adapter is not None:
        adapter = vlm.add_adapter(card.adapter).requires_grad_(False)
        places |= {f"adapter.{name}": value for name, value in adapter.state_dict().items()}
    if card.lora is not None:
        for name, one in add_lora(vlm, card.lora).items():
            places[f"lora.{name}"] = one.requires_grad_(False).data
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in places.items()}:
        raise CorpusError(f"{trained.folder}: its tensors do not fit its base", "train it again")
    for name, place in places.items():
        if not torch.isfinite(tensors[name]).all():
            raise CorpusError(f"{trained.folder}: {name} is not finite", "train it again")
        place.copy_(tensors[name])


def _quantised(quantisation: Quantisation | None, device: str) -> Any:
    if quantisation is None:
        return None
    import importlib.util

    if quantisation not in ("4bit", "8bit"):
        raise UsageError(f"there is no quantisation {quantisation!r}", "use 4bit or 8bit")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingRequirement(
            f"{quantisation} weights need bitsandbytes", "pip install bitsandbytes"
        )
    if torch.device(device).type != "cuda" or not torch.cuda.is_available():
        raise MissingRequirement(
            f"{quantisation} weights need a CUDA device", "leave the quantisation out"
        )
    from transformers import BitsAndBytesConfig

    if quantisation == "8bit":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.bfloat16
    )


def _model_type(base: str) -> str:
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(model_folder(base)), **LOCAL_ONLY)
    except (ValueError, OSError) as error:
        raise UsageError(f"{base} is no model that can be read: {error}") from error
    return config.model_type
