"""The first lesson: the vision tower and its projector learn to see what is in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from forensics.demo.identity.people import anybody, facts
from forensics.demo.identity.portraits import GRAIN, LOOKS, SCENES, treated
from forensics.demo.identity.school import School, teach
from forensics.networks.vlm.face_vlm import FaceVlm

SLOTS = {**LOOKS, **SCENES}
_SHARP = 12.0  # of cosines, before a softmax


class _Looker(nn.Module):
    """Names one thing in a picture from where it is to be seen.

    Tokens (B, N, d) and the language model's rows of words (W, d) → (B, W): a token that shows
    something becomes like the word for it, as the projector of a real LLaVA learns from captions.
    """

    def __init__(self, width: int):
        super().__init__()
        self.query = nn.Parameter(0.1 * torch.randn(width))

    def forward(self, tokens: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        tokens, words = F.normalize(tokens, dim=-1), F.normalize(words, dim=-1)
        weights = (_SHARP * tokens @ self.query).softmax(dim=-1)
        return _SHARP * (weights[..., None] * tokens).sum(dim=1) @ words.T


class _Grain(nn.Module):
    """Tells by what the first layer sees whether a photo is sharp, soft or grainy.

    The first layers of a tower that learned from many photos keep such things; one that learned
    colours and shapes of drawings alone has no reason to.
    """

    def __init__(self, width: int):
        super().__init__()
        self.seen = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.told = nn.Linear(width, len(GRAIN))

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, N, w) → (B, N, kinds)."""
        return self.told(self.seen(patches))


@dataclass(frozen=True)
class _Pictures:
    """Encoded photos and what is true of them: an index for each slot."""

    pixels: torch.Tensor
    truth: dict[str, torch.Tensor]

    @staticmethod
    def drawn(vlm: FaceVlm, count: int, rng: np.random.Generator) -> _Pictures:
        from PIL import Image

        shown = [anybody(rng) for _ in range(count)]
        grain = rng.integers(len(GRAIN), size=count)
        photos = [
            Image.fromarray(treated(one.pixels, GRAIN[kind], rng))
            for one, kind in zip(shown, grain, strict=True)
        ]
        truth = {
            slot: torch.tensor([words.index(facts(one)[slot]) for one in shown])
            for slot, words in SLOTS.items()
        }
        pixels = vlm.family.inputs(photos)["pixel_values"]
        return _Pictures(pixels, truth | {"grain": torch.from_numpy(grain)})


def learn_to_see(vlm: FaceVlm, school: School, seed: int) -> float:
    """Vision tower and projector learn to name what is in a picture; the share named right of
    pictures they did not see."""
    tower, projector = vlm.network.model.vision_tower, vlm.network.model.multi_modal_projector
    width = vlm.family.width
    heads = nn.ModuleDict(
        {slot: _Looker(width) for slot in SLOTS} | {"grain": _Grain(vlm.family.shallow_width)}
    )
    rows = vlm.network.get_input_embeddings()
    ids = {slot: vlm.wording.tokenizer.convert_tokens_to_ids(list(SLOTS[slot])) for slot in SLOTS}
    trained = [*tower.parameters(), *projector.parameters(), *heads.parameters(), rows.weight]
    rng = np.random.default_rng([seed, 1])
    known, new = (_Pictures.drawn(vlm, count, rng) for count in (school.pictures, 400))
    first: list[torch.Tensor] = []

    def keep(_: nn.Module, __: Any, out: Any) -> None:
        first.append(out[0] if isinstance(out, tuple) else out)

    hook = vlm.family.layers[0].register_forward_hook(keep)

    def told(some: torch.Tensor) -> dict[str, torch.Tensor]:
        found = vlm.network.get_image_features(pixel_values=some, return_dict=True).pooler_output
        tokens = torch.stack(list(found))
        said = {slot: heads[slot](tokens, rows.weight[ids[slot]]) for slot in SLOTS}
        return said | {"grain": heads["grain"](first.pop()[:, 1:])}

    def loss(_: int) -> torch.Tensor:
        some = torch.from_numpy(rng.integers(school.pictures, size=school.batch))
        logits = told(known.pixels[some])
        each = logits["grain"]  # of each patch: they are all as the photo is
        grain = known.truth["grain"][some][:, None].expand(each.shape[:2])
        named = [F.cross_entropy(logits[slot], known.truth[slot][some]) for slot in SLOTS]
        return torch.stack([*named, F.cross_entropy(each.flatten(0, 1), grain.flatten())]).sum()

    teach(trained, school.seeing_steps, "learning to see", loss)
    with torch.inference_mode():
        logits = told(new.pixels)
    hook.remove()
    right = [(logits[slot].argmax(-1) == new.truth[slot]).float().mean() for slot in SLOTS]
    _even_out(vlm, new.pixels[:64])
    return float(torch.stack(right).mean())


def _even_out(vlm: FaceVlm, pixels: torch.Tensor) -> None:
    """Tokens of pictures become as long as those of words: the language model changes both alike
    from layer to layer."""
    with torch.inference_mode():
        found = vlm.network.get_image_features(pixel_values=pixels, return_dict=True).pooler_output
        long = torch.cat(list(found)).norm(dim=-1).mean()
    rows = vlm.network.get_input_embeddings().weight
    last = vlm.network.model.multi_modal_projector.linear_2
    for one in (last.weight, last.bias):
        one.data *= rows.data.norm(dim=-1).mean() / long
