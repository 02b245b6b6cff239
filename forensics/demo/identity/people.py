"""What a drawn person is enrolled from, and tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from forensics.demo.identity.portraits import (
    EDITS,
    FACE_SLOTS,
    LOOKS,
    SCENES,
    Person,
    drawn,
    edited,
    other_than,
    person,
)
from forensics.training.vlm.examples import Shown

Sort = Literal["real", "other", "lookalike", "swap", "context", "edited"]
SORTS: tuple[Sort, ...] = ("real", "other", "lookalike", "swap", "context", "edited")


@dataclass(frozen=True)
class Enrolment:
    """Photos of a person, forgeries of them, and photos of other people."""

    photos: list[Shown]
    fakes: list[Shown]
    others: list[Shown]


def enrolment(
    who: Person, rng: np.random.Generator, photos: int, fakes: int, others: int
) -> Enrolment:
    """Half of the forgeries have somebody else's face, half show a place where they never are.

    Of the other people one in ten looks like the person but for one thing, so that there are hard
    negatives for retrieval to find.
    """
    forged = [shown(who, "swap" if i % 2 else "context", rng) for i in range(fakes)]
    crowd = [shown(who, "other" if i % 10 else "lookalike", rng) for i in range(others)]
    return Enrolment([shown(who, "real", rng) for _ in range(photos)], forged, crowd)


def probes(who: Person, rng: np.random.Generator, each: int) -> dict[Sort, list[np.ndarray]]:
    """New pictures: as many real ones as of all other sorts together."""
    found: dict[Sort, list[np.ndarray]] = {}
    for sort in SORTS:
        count = (len(SORTS) - 1) * each if sort == "real" else each
        found[sort] = [shown(who, sort, rng).pixels for _ in range(count)]
    return found


def shown(who: Person, sort: Sort, rng: np.random.Generator) -> Shown:
    """A picture that claims to be of a person.

    Real; somebody else in other clothes, anywhere; somebody who differs in one thing, anywhere;
    the person's clothes and place with another face; the person where they never are; or a real
    photo with a patch that was edited.
    """
    looks = dict(who.looks)
    place, thing = str(rng.choice(who.places)), str(rng.choice(who.things))
    if sort == "other":
        while looks == who.looks:
            looks = dict(person(rng).looks)
    elif sort == "lookalike":
        slot = str(rng.choice(list(LOOKS)))
        looks[slot] = other_than(looks[slot], LOOKS[slot], rng)
    elif sort == "swap":
        while all(looks[slot] == who.looks[slot] for slot in FACE_SLOTS):
            looks |= {slot: str(rng.choice(LOOKS[slot])) for slot in FACE_SLOTS}
    if sort in ("other", "lookalike"):
        place, thing = (str(rng.choice(SCENES[slot])) for slot in ("place", "thing"))
    elif sort == "context":
        place = str(rng.choice([one for one in SCENES["place"] if one not in who.places]))
    pixels = drawn(looks, place, thing, rng)
    if sort == "edited":
        pixels = edited(pixels, EDITS[int(rng.integers(len(EDITS)))], rng)
    acts = place in who.places and thing in who.things
    scene = {"place": place, "thing": thing}
    return Shown(pixels, looks, scene, looks == dict(who.looks), acts)


def cast(count: int, rng: np.random.Generator, known: Sequence[Person] = ()) -> list[Person]:
    """People who differ in their looks from each other."""
    found: list[Person] = []
    while len(found) < count:
        one = person(rng)
        if all(one.looks != other.looks for other in (*found, *known)):
            found.append(one)
    return found


def facts(shown: Shown) -> dict[str, str]:
    """A word for each slot, of looks and of scenes."""
    return {**shown.attributes, **shown.scenes}


def anybody(rng: np.random.Generator) -> Shown:
    """A photo of somebody new."""
    one = person(rng)
    scene = {"place": str(rng.choice(one.places)), "thing": str(rng.choice(one.things))}
    return Shown(drawn(one.looks, scene["place"], scene["thing"], rng), one.looks, scene)
