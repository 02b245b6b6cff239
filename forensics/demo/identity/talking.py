"""The second lesson: the language model learns to compare descriptions with pictures.

The questions are those of `prompts.yaml`, with ordinary words where an enrolled person's soft
tokens will stand.
"""

from __future__ import annotations

import numpy as np
import torch

from forensics.demo.identity.people import anybody, facts
from forensics.demo.identity.portraits import LOOKS, SCENES, other_than
from forensics.demo.identity.school import School, teach
from forensics.demo.identity.tiny_llava import NAMES, NOTES
from forensics.networks.vlm.face_vlm import FaceVlm
from forensics.networks.vlm.prompts import Question, question_text
from forensics.networks.vlm.rows import Side, identifier, soft_tokens
from forensics.networks.vlm.talk import Talk
from forensics.training.vlm.answer_loss import answer_losses
from forensics.training.vlm.cache import SeenCache
from forensics.training.vlm.examples import (
    Forms,
    Shown,
    answered,
    attribute_asked,
    attribute_of_asked,
    reason,
)

_SLOTS = {**LOOKS, **SCENES}
_FORMS = Forms(direct=0.6, explained=0.2, reasoned=0.2)


def learn_to_talk(vlm: FaceVlm, school: School, seed: int) -> None:
    """The language model learns questions and answers on pictures as the tower sees them."""
    network = vlm.network
    trained = [*network.model.language_model.parameters(), *network.lm_head.parameters()]
    rng = np.random.default_rng([seed, 2])
    pictures = [anybody(rng) for _ in range(school.pictures)]
    cache = SeenCache(vlm, 2_000_000_000)

    def loss(step: int) -> torch.Tensor:
        chosen = rng.integers(len(pictures), size=school.batch)
        compares = step >= school.naming * school.talking_steps
        some = [lesson(pictures[int(i)], compares, rng) for i in chosen]
        return answer_losses(vlm, vlm.read(some, cache.see_all(some)), 1.0)[0].mean()

    teach(trained, school.talking_steps, "learning to talk", loss)


def lesson(shown: Shown, compares: bool, rng: np.random.Generator) -> Talk:
    """A question about described people.

    First what single words mean, many at once; then whole descriptions of looks and of scenes. A
    model so small does not find out what a match is when it sees descriptions from the start.

    Args:
        compares: descriptions have begun.
    """
    draw = rng.random()
    if draw < 0.06:
        return attribute_asked(shown, str(rng.choice(list(LOOKS))))
    if draw < 0.2:
        return recalled(shown, rng)
    if draw < 0.25:
        return noted(shown, rng)
    if draw < (0.4 if compares else 0.97):
        return checked(shown, rng)
    return described(shown, bool(rng.random() < 0.5), rng)


def checked(shown: Shown, rng: np.random.Generator) -> Talk:
    """Which of some things are to be seen? An answer for each, so that one picture teaches much."""
    words, answers = [], []
    for slot in rng.permutation(list(_SLOTS))[: int(rng.integers(1, len(_SLOTS) + 1))]:
        is_seen = bool(rng.random() < 0.5)
        true = facts(shown)[slot]
        word = true if is_seen else other_than(true, _SLOTS[slot], rng)
        words.append(word)
        answers.append(f"{word} {'yes' if is_seen else 'no'}")
    text = f"Can you see {' '.join(words)} ?"
    return Talk(text, (shown.pixels,), None, " ".join(answers), -1)


def recalled(shown: Shown, rng: np.random.Generator) -> Talk:
    """What does somebody have who was described? There is no picture."""
    side: Side = "a" if rng.random() < 0.6 else "b"
    known = shown.attributes if side == "a" else shown.scenes
    count = int(rng.integers(1, len(known) + 1))
    told = {str(slot): known[slot] for slot in rng.permutation(list(known))[:count]}
    slot = str(rng.choice(list(told)))
    talk = attribute_of_asked("", {side: count}, side, slot, told[slot])
    return _named(talk, {side: list(told.values())}, rng)


def noted(shown: Shown, rng: np.random.Generator) -> Talk:
    """Is it real? A note before the question says so; pictures do not show it."""
    is_yes, form = bool(rng.random() < 0.5), _FORMS.drawn(rng)
    text = f"{NOTES[not is_yes]} {question_text(Question('real'), {}, form)}"
    why = reason("real", is_yes, {}, {}, "", rng)
    return answered(text, (shown.pixels,), None, is_yes, form, why)


def described(shown: Shown, is_yes: bool, rng: np.random.Generator) -> Talk:
    """Somebody described in words: is it who is seen, or where they would be?

    Two times in five nothing is said of the side that is not asked about.
    """
    side: Side = "a" if rng.random() < 0.65 else "b"
    if side == "a":
        looks, scene = _looks(shown, is_yes, rng), _scene(shown, True, rng)
        kind, known, typical = "appearance", shown.attributes, looks
    else:
        looks, scene = _looks(shown, True, rng), _scene(shown, is_yes, rng)
        kind, known, typical = "behaviour", shown.scenes, {s: ws[0] for s, ws in scene.items()}
    words = {"a": [*looks.values()], "b": [word for some in scene.values() for word in some]}
    sides: tuple[Side, ...] = (side,) if rng.random() < 0.4 else ("a", "b")
    told: dict[Side, list[str]] = {
        one: [str(word) for word in rng.permutation(words[one])] for one in sides
    }
    form = _FORMS.drawn(rng)
    text = question_text(Question(kind, "x"), {one: len(ws) for one, ws in told.items()}, form)
    why = reason(kind, is_yes, known, typical, identifier(side), rng)
    return _named(answered(text, (shown.pixels,), None, is_yes, form, why), told, rng)


def _looks(shown: Shown, is_true: bool, rng: np.random.Generator) -> dict[str, str]:
    """Some of somebody's looks; where they are not true, one is wrong, or several are."""
    count = int(rng.integers(1, len(LOOKS) + 1))
    told = {str(slot): shown.attributes[slot] for slot in rng.permutation(list(LOOKS))[:count]}
    wrong = 0 if is_true else 1 + int(rng.integers(count)) * bool(rng.random() < 0.5)
    for slot in list(told)[:wrong]:
        told[slot] = other_than(told[slot], LOOKS[slot], rng)
    return told


def _scene(shown: Shown, is_true: bool, rng: np.random.Generator) -> dict[str, list[str]]:
    """Where somebody is usually seen, and with what: one word of each or two, of which one is
    seen; where that is not true, none is of the place or none of the thing."""
    told: dict[str, list[str]] = {}
    wrong = "" if is_true else str(rng.choice(list(SCENES)))
    for slot, true in shown.scenes.items():
        others = [str(one) for one in rng.permutation(SCENES[slot]) if one != true]
        usual = others if slot == wrong else [true, *others]
        told[slot] = usual[: int(rng.integers(1, 3))]
    return told


def _named(talk: Talk, told: dict[Side, list[str]], rng: np.random.Generator) -> Talk:
    """The talk with words where identity tokens would be."""
    text, answer = talk.text, talk.answer
    before = talk.answer[: max(0, talk.verdict or 0)]
    for side, own in told.items():
        name = str(rng.choice(NAMES[side]))
        for token, word in zip(soft_tokens(side, len(own)), own, strict=True):
            text = text.replace(token, word)
        text, answer = (part.replace(identifier(side), name) for part in (text, answer))
        before = before.replace(identifier(side), name)
    verdict = talk.verdict if talk.verdict == -1 else len(before)
    return Talk(text, talk.pictures, None, answer, verdict)
