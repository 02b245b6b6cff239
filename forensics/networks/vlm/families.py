"""What differs between model families: how an image becomes tokens, and where tokens stand."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from forensics.errors import UsageError


@dataclass(frozen=True)
class Seen:
    """One image after the vision encoder.

    Attributes:
        tokens: (n, d), what the language model gets.
        shallow: (m, w), a first layer's patches in the order of the picture; None where no layer
            was asked for.
        grid: int64 (3,) times, rows and columns of patches, where positions depend on them.
    """

    tokens: Tensor
    shallow: Tensor | None = None
    grid: Tensor | None = None

    def to(self, device: torch.device | str) -> Seen:
        moved = (one if one is None else one.to(device) for one in (self.shallow, self.grid))
        return Seen(self.tokens.to(device), *moved)

    @property
    def bytes(self) -> int:
        return self.tokens.nbytes + (0 if self.shallow is None else self.shallow.nbytes)


class Family(ABC):
    """A loaded model and its processor."""

    model_class: ClassVar[str]

    def __init__(self, network: Any, processor: Any):
        self.network, self.processor = network, processor
        self.image_token: int = network.config.image_token_id
        self.width: int = network.config.get_text_config().hidden_size

    @property
    @abstractmethod
    def layers(self) -> nn.ModuleList:
        """Of the vision encoder, first to last."""

    @property
    @abstractmethod
    def shallow_width(self) -> int: ...

    @abstractmethod
    def inputs(self, images: Sequence[Any]) -> dict[str, Tensor]:
        """PIL images as `get_image_features` takes them."""

    def see(self, images: Sequence[np.ndarray], layer: int | None) -> list[Seen]:
        """uint8 (H, W, 3) RGB each, all in one pass.

        Args:
            layer: whose output is also wanted, from 1.

        Raises:
            UsageError: the encoder has fewer layers.
        """
        from PIL import Image

        if layer is not None and layer > len(self.layers):
            raise UsageError(
                f"the vision encoder has {len(self.layers)} layers, no layer {layer}",
                "set adapter.layer to one of the first",
            )
        place = self.network.get_input_embeddings().weight
        given = self.inputs([Image.fromarray(one) for one in images])
        given = {name: value.to(place.device) for name, value in given.items()}
        given["pixel_values"] = given["pixel_values"].to(place.dtype)
        kept: list[Tensor] = []
        hook = None
        if layer is not None:

            def keep(_: nn.Module, __: Any, out: Any) -> None:
                kept.append(out[0] if isinstance(out, tuple) else out)

            hook = self.layers[layer - 1].register_forward_hook(keep)
        try:
            found = self.network.get_image_features(**given, return_dict=True)
        finally:
            if hook is not None:
                hook.remove()
        shallow = self.shallow(kept[0], given) if kept else [None] * len(images)
        grids = given.get("image_grid_thw", [None] * len(images))
        tokens = [one.reshape(-1, one.shape[-1]) for one in found.pooler_output]
        return [Seen(*parts) for parts in zip(tokens, shallow, grids, strict=True)]

    @abstractmethod
    def shallow(self, kept: Tensor, given: dict[str, Tensor]) -> list[Tensor]:
        """A layer's output as (m, w) for each image, in the order of the picture."""

    def positions(self, is_image: Tensor, mask: Tensor, grids: list[Tensor]) -> Tensor:
        """Position ids of left-padded sequences.

        Args:
            is_image: bool (B, L), tokens that come from the vision encoder itself.
            mask: bool (B, L), false where padded.
            grids: of all images, in order.
        """
        return (mask.long().cumsum(-1) - 1).clamp(min=0)


class Llava(Family):
    model_class = "LlavaForConditionalGeneration"

    @property
    def layers(self) -> nn.ModuleList:
        tower = self.network.model.vision_tower
        return getattr(tower, "vision_model", tower).encoder.layers

    @property
    def shallow_width(self) -> int:
        return self.network.config.vision_config.hidden_size

    def inputs(self, images: Sequence[Any]) -> dict[str, Tensor]:
        return dict(self.processor.image_processor(images, return_tensors="pt"))

    def shallow(self, kept: Tensor, given: dict[str, Tensor]) -> list[Tensor]:
        return list(kept[:, self._extra(kept) :])

    def _extra(self, kept: Tensor) -> int:
        """Tokens that are no patches, a class token, come first."""
        shape = self.network.config.vision_config
        return kept.shape[1] - (shape.image_size // shape.patch_size) ** 2


class LlavaNext(Llava):
    """An image is a small view of the whole and tiles; the adapter listens to all of them."""

    model_class = "LlavaNextForConditionalGeneration"

    def shallow(self, kept: Tensor, given: dict[str, Tensor]) -> list[Tensor]:
        from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

        config = self.network.config
        tiles = [
            image_size_to_num_patches(
                size, config.image_grid_pinpoints, config.vision_config.image_size
            )
            for size in given["image_sizes"]
        ]
        patches = kept[:, self._extra(kept) :]
        return [one.flatten(0, 1) for one in torch.split(patches, tiles)]


class Qwen25(Family):
    """Patches travel in windows and in groups that are merged; positions have three parts."""

    model_class = "Qwen2_5_VLForConditionalGeneration"

    @property
    def layers(self) -> nn.ModuleList:
        return self.network.model.visual.blocks

    @property
    def shallow_width(self) -> int:
        return self.network.config.vision_config.hidden_size

    def inputs(self, images: Sequence[Any]) -> dict[str, Tensor]:
        return dict(self.processor.image_processor(images=images, return_tensors="pt"))

    def shallow(self, kept: Tensor, given: dict[str, Tensor]) -> list[Tensor]:
        from transformers.vision_utils import get_vision_window_index

        visual, grids = self.network.model.visual, given["image_grid_thw"]
        window_index, _ = get_vision_window_index(
            grids, visual.spatial_merge_size, visual.window_size, visual.patch_size
        )
        merged = visual.spatial_merge_size
        groups = kept.reshape(-1, merged * merged, kept.shape[-1])
        groups = groups[torch.argsort(window_index.to(kept.device))]
        found, start = [], 0
        for times, rows, columns in grids.tolist():
            count = times * rows * columns // merged**2
            own = groups[start : start + count]
            start += count
            # (t, r, c, merged, merged, w): groups of neighbours back to rows of the picture.
            own = own.reshape(times, rows // merged, columns // merged, merged, merged, -1)
            found.append(own.permute(0, 1, 3, 2, 4, 5).flatten(0, 4))
        return found

    def positions(self, is_image: Tensor, mask: Tensor, grids: list[Tensor]) -> Tensor:
        """(3, B, L). Tokens of the adapter stand as text does: there is no grid that they fit."""
        where, _ = self.network.model.get_rope_index(
            torch.zeros_like(is_image, dtype=torch.long),
            mm_token_type_ids=is_image.int(),
            image_grid_thw=torch.stack(grids).to(mask.device) if grids else None,
            attention_mask=mask.long(),
        )
        return where


FAMILIES: dict[str, type[Family]] = {
    "llava": Llava,
    "llava_next": LlavaNext,
    "qwen2_5_vl": Qwen25,
}


def family_of(model_type: str, name: str) -> type[Family]:
    """The family of a `config.json`'s model type.

    Raises:
        UsageError: none that is known.
    """
    if model_type not in FAMILIES:
        raise UsageError(
            f"{name} is a {model_type!r} model", f"name one of {', '.join(sorted(FAMILIES))}"
        )
    return FAMILIES[model_type]
