"""Cross-entropy of answers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from forensics.networks.vlm.face_vlm import FaceVlm, Read


def answer_losses(vlm: FaceVlm, reads: Sequence[Read], text_weight: float) -> tuple[Tensor, Tensor]:
    """Loss of each talk, (B,): of the word yes or no, plus `text_weight` times the mean of the
    other words; and logit gap of yes over no where that word must come, (B,), NaN where no talk
    has such a word.

    The paper takes the mean over all words; with one that decides among twenty that do not, the
    verdict then counts for little. The weight is ours.
    """
    hidden = vlm.hidden(reads)[0]
    longest = hidden.shape[1]
    places, owners, targets, rows, decides = [], [], [], [], []
    for i, read in enumerate(reads):
        shift = longest - len(read.ids)
        where = torch.arange(read.answer, len(read.ids), device=read.ids.device)
        places.append(hidden[i, shift + where - 1])
        targets.append(read.ids[where])
        owners += [read.identity] * len(where)
        rows += [i] * len(where)
        decides.append(where == read.verdict if read.verdict is not None else where < 0)
    last = torch.cat(places)
    logits = vlm.identities.logits(last, vlm.network.lm_head(last), owners).float()
    each = F.cross_entropy(logits, torch.cat(targets), reduction="none")
    row = torch.tensor(rows, device=each.device)
    decisive = torch.cat(decides)
    losses = torch.zeros(len(reads), device=each.device)
    losses = losses.index_add(0, row[decisive], each[decisive])
    others = torch.zeros_like(losses).index_add(0, row[~decisive], each[~decisive])
    counts = torch.zeros_like(losses).index_add(0, row, (~decisive).float()).clamp(min=1)
    gaps = torch.full_like(losses, float("nan"))
    gaps[row[decisive]] = vlm.gap(logits[decisive]).detach()
    return losses + text_weight * others / counts, gaps
