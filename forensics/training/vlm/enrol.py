"""Stage 2: one person's tokens, everything else being frozen."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from forensics.errors import UsageError
from forensics.networks.vlm.face_vlm import FaceVlm
from forensics.networks.vlm.prompts import Kind, Question
from forensics.networks.vlm.rows import IdentityRows
from forensics.networks.vlm.talk import Talk
from forensics.progress import Progress
from forensics.training.vlm.answer_loss import answer_losses
from forensics.training.vlm.cache import SeenCache
from forensics.training.vlm.checkpointing import checkpointing
from forensics.training.vlm.enrol_settings import EnrolSettings
from forensics.training.vlm.examples import Shown, asked, attribute_of_asked, usual

Embed = Callable[[Sequence[np.ndarray]], np.ndarray]
_BETAS = (0.9, 0.999)


def enrol_tokens(
    vlm: FaceVlm,
    name: str,
    photos: Sequence[np.ndarray | Shown],
    fakes: Sequence[np.ndarray | Shown],
    negatives: Sequence[np.ndarray | Shown],
    settings: EnrolSettings | None = None,
    progress: Progress | None = None,
    embed: Embed | None = None,
) -> IdentityRows:
    """Learn what tells a person from everybody else, and from forgeries of them.

    The identities that are loaded stay loaded; the new one is not among them. The same arguments
    give the same rows on the same machine.

    Args:
        name: as in `IdentityRows`.
        photos: real ones of the person, uint8 (H, W, 3) RGB.
        fakes: that claim to show the person: known ones, or made for this, such as self-blends.
        negatives: of other people.
        progress: is advanced by one for each of `settings.steps`.
        embed: unit vectors (N, D) of pictures, for retrieval and similarity; None takes the vision
            encoder's own.

    Raises:
        UsageError: no photos, nothing to tell them from, or a loss that is not finite any more.
    """
    settings = settings or EnrolSettings()
    if not photos or not (fakes or negatives):
        raise UsageError(
            "enrolling takes photos of the person and pictures to tell them from",
            "give photos, and forgeries or photos of other people",
        )
    material = _material(vlm, photos, fakes, negatives, settings, embed or vlm.embed)
    kept = [vlm.identities.rows_of(known) for known in vlm.identities.loaded]
    tries = [f"try-{i}" for i in range(settings.tries)]
    try:
        vlm.add_identities(
            [
                vlm.identities.initial(
                    one, settings.tokens, settings.seed * settings.tries + i, settings.start
                )
                for i, one in enumerate(tries)
            ]
        )
        with checkpointing(vlm, settings.checkpointing):
            best = _fit(vlm, tries, material, settings, progress)
        return replace(vlm.identities.rows_of(best), name=name)
    finally:
        vlm.add_identities(kept)


@dataclass(frozen=True, eq=False)
class _Material:
    """Pictures by role, and the cosine of each to the person where it is to be told."""

    photos: list[Shown]
    fakes: list[Shown]
    others: list[Shown]
    cosines: dict[int, float]


def _material(
    vlm: FaceVlm,
    photos: Sequence[np.ndarray | Shown],
    fakes: Sequence[np.ndarray | Shown],
    negatives: Sequence[np.ndarray | Shown],
    settings: EnrolSettings,
    embed: Embed,
) -> _Material:
    own, forged, others = (
        [one if isinstance(one, Shown) else Shown(one) for one in ones]
        for ones in (photos, fakes, negatives)
    )
    wanted = 0 < settings.hard_negatives < len(others)
    if not (wanted or settings.similarity):
        return _Material(own, forged, others, {})
    mine = embed([one.pixels for one in own])
    centre = _unit(mine.sum(axis=0))
    if wanted:
        alike = embed([one.pixels for one in others]) @ centre
        nearest = np.argsort(-alike, kind="stable")[: settings.hard_negatives]
        others = [others[i] for i in sorted(nearest)]
    cosines: dict[int, float] = {}
    if settings.similarity:
        wrong = [*forged, *others]
        found = embed([one.pixels for one in wrong]) @ centre
        cosines = {id(one): float(cosine) for one, cosine in zip(wrong, found, strict=True)}
        # A photo is compared with the others, as one that was not enrolled will be.
        for one, vector in zip(own, mine, strict=True):
            rest = mine.sum(axis=0) - vector if len(own) > 1 else vector
            cosines[id(one)] = float(vector @ _unit(rest))
    return _Material(own, forged, others, cosines)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-9)


def _fit(
    vlm: FaceVlm,
    tries: Sequence[str],
    material: _Material,
    settings: EnrolSettings,
    progress: Progress | None,
) -> str:
    """Train the rows of all tries on the same questions, halfway on those of the best alone.

    Returns:
        The best try: whose answers of late had the least loss.
    """
    rows = [one.requires_grad_() for one in vlm.identities.parameters()]
    optimiser = torch.optim.AdamW(
        rows, settings.learning_rate, betas=_BETAS, weight_decay=settings.weight_decay
    )
    cache = SeenCache(vlm, settings.cache_bytes)
    drawn = _talks(tries[0], material, settings)
    losses: dict[str, list[float]] = {one: [] for one in tries}
    for step in range(settings.steps):
        rate = 0.5 * (1 + math.cos(math.pi * step / settings.steps))
        for group in optimiser.param_groups:
            group["lr"] = settings.learning_rate * rate
        talks = [next(drawn) for _ in range(settings.batch)]
        if step == max(1, settings.steps // 2):
            losses = {best: losses[best] for best in [_best(losses)]}
        optimiser.zero_grad()
        for one, past in losses.items():
            own = [replace(talk, identity=one) for talk in talks]
            past.append(_learn(vlm, own, cache, settings.text_weight))
            if not math.isfinite(past[-1]):
                raise UsageError(
                    f"the loss is not finite any more at step {step + 1}", "lower learning_rate"
                )
        optimiser.step()
        if progress is not None:
            progress.advance()
    return _best(losses)


def _best(losses: dict[str, list[float]]) -> str:
    """By the mean over the last quarter of the steps."""
    return min(losses, key=lambda one: float(np.mean(losses[one][-(len(losses[one]) // 4 + 1) :])))


def _learn(vlm: FaceVlm, talks: list[Talk], cache: SeenCache, text_weight: float) -> float:
    """Add a batch's gradients to those there are; the mean loss of its talks."""
    total = 0.0
    # Questions without a picture are short: padded apart, they cost little.
    for some in ([t for t in talks if t.pictures], [t for t in talks if not t.pictures]):
        if some:
            reads = vlm.read(some, cache.see_all(some))
            loss = answer_losses(vlm, reads, text_weight)[0].sum() / len(talks)
            loss.backward()
            total += float(loss.detach())
    return total


def _talks(name: str, material: _Material, settings: EnrolSettings) -> Iterator[Talk]:
    """Questions with their answers, without end; every draw comes from the seed."""
    rng = np.random.default_rng([settings.seed, 2])
    sides = dict.fromkeys(settings.sides, settings.soft)
    kinds: tuple[Kind, ...] = ("appearance", "behaviour")
    if "u" not in sides:
        kinds = tuple(kind for kind, side in zip(kinds, "ab", strict=True) if side in sides)
    typical = {kind: usual(material.photos, kind) for kind in kinds}
    facts = [(kind, key, value) for kind in kinds for key, value in typical[kind].items()]
    while True:
        if facts and rng.random() < settings.attribute_questions:
            kind, key, value = facts[rng.integers(len(facts))]
            side = "u" if "u" in sides else ("a" if kind == "appearance" else "b")
            yield attribute_of_asked(name, sides, side, key, value)
            continue
        shown, genuine = _picture(material, settings, rng)
        kind = kinds[rng.integers(len(kinds))]
        is_yes = _is_yes(shown, genuine, kind, "u" in sides)
        question = Question(kind, name, material.cosines.get(id(shown)))
        yield asked(question, shown, is_yes, settings.forms.drawn(rng), sides, typical[kind], rng)


def _picture(
    material: _Material, settings: EnrolSettings, rng: np.random.Generator
) -> tuple[Shown, bool]:
    """A picture, and whether it is a real photo of the person."""
    if rng.random() < settings.positives:
        return material.photos[rng.integers(len(material.photos))], True
    forged = not material.others or (material.fakes and rng.random() < settings.fakes)
    some = material.fakes if forged else material.others
    return some[rng.integers(len(some))], False


def _is_yes(shown: Shown, genuine: bool, kind: Kind, unified: bool) -> bool:
    looks = genuine if shown.looks is None else shown.looks
    acts = genuine if shown.acts is None else shown.acts
    if unified:
        return looks and acts
    return looks if kind == "appearance" else acts
