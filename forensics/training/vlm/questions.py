"""Questions about the items of a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from forensics.detectors.face.window import Window
from forensics.errors import UsageError
from forensics.faces.base import Face
from forensics.faces.tools import FaceConfig, FaceTools, open_faces
from forensics.media.image import read_image
from forensics.networks.vlm.card import View
from forensics.networks.vlm.prompts import Question
from forensics.networks.vlm.talk import Talk
from forensics.shards.format import Item
from forensics.training.face_classifier.crops import box_of
from forensics.training.vlm.config import Ask
from forensics.training.vlm.examples import Forms, Shown, asked, attribute_asked, pair_asked

_MOST_SIDE = 1024  # pixels; no family sees more of a picture


@dataclass(frozen=True)
class Asker:
    """Draws questions; every draw comes from the generator that is handed in.

    Attributes:
        view, margin: what a picture is cut to.
        faces: what tells the similarity of a pair; None tells none.
    """

    asks: Ask
    forms: Forms
    view: View
    margin: float
    faces: FaceConfig | None = None

    def two(self, pool: Sequence[Item], rng: np.random.Generator) -> list[Talk]:
        """Two questions: of those that are answered yes or no, one of each.

        Raises:
            UsageError: the pool has nothing to ask about.
        """
        if self.asks == "attributes":
            return [self._attribute(pool, rng) for _ in range(2)]
        if self.asks == "pairs":
            return self._pairs(pool, rng)
        return [self._real(pool, label, rng) for label in ("bonafide", "spoof")]

    def _real(self, pool: Sequence[Item], label: str, rng: np.random.Generator) -> Talk:
        some = [item for item in pool if item.meta.label == label]
        if not some:
            raise _lacking(f"no {label} item", pool)
        shown = self._shown(some[rng.integers(len(some))])
        form = self.forms.drawn(rng)
        return asked(Question("real"), shown, label == "bonafide", form, {}, {}, rng)

    def _attribute(self, pool: Sequence[Item], rng: np.random.Generator) -> Talk:
        some = [item for item in pool if _attributes(item)]
        if not some:
            raise _lacking("no item with params.attributes", pool)
        shown = self._shown(some[rng.integers(len(some))])
        names = sorted(shown.facts("appearance"))
        return attribute_asked(shown, names[rng.integers(len(names))])

    def _pairs(self, pool: Sequence[Item], rng: np.random.Generator) -> list[Talk]:
        """A pair of one person's photos, and one with somebody else, or a forgery, in it."""
        genuine: dict[str, dict[str, Item]] = {}
        for item in pool:
            if item.meta.label == "bonafide":
                genuine.setdefault(_shows(item), {})[item.key] = item
        several = [list(photos.values()) for photos in genuine.values() if len(photos) > 1]
        if not several:
            raise _lacking("no two photos of one person", pool)
        photos = several[rng.integers(len(several))]
        one, two = (photos[i] for i in rng.choice(len(photos), 2, replace=False))
        who = _shows(one)
        forged = [p for p in pool if p.meta.label != "bonafide" and _claimed(p) == who]
        others = [p for p in pool if p.meta.label == "bonafide" and _shows(p) != who]
        negatives = forged if forged and (not others or rng.random() < 0.5) else others
        if not negatives:
            raise _lacking("nobody but one person", pool)
        third = negatives[rng.integers(len(negatives))]
        return [self._pair(one, two, True, rng), self._pair(one, third, False, rng)]

    def _pair(self, one: Item, two: Item, is_yes: bool, rng: np.random.Generator) -> Talk:
        cosine = None
        if self._tools is not None:
            crops = [
                self._tools.crop(read_image(item.media).pixels, Face(box_of(item.meta)))
                for item in (one, two)
            ]
            first, second = self._tools.embed(crops)
            cosine = float(first @ second)
        form = self.forms.drawn(rng)
        return pair_asked(self._shown(one), self._shown(two), is_yes, form, cosine, rng)

    def _shown(self, item: Item) -> Shown:
        pixels = read_image(item.media).pixels
        if self.view == "face":
            window = Window.around(box_of(item.meta), self.margin)
            pixels = window.cut(pixels, min(window.side, _MOST_SIDE))
        return Shown(pixels, _attributes(item))

    @cached_property
    def _tools(self) -> FaceTools | None:
        return None if self.faces is None else open_faces(self.faces)


def _attributes(item: Item) -> dict[str, str]:
    told = item.meta.params.get("attributes")
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}


def _shows(item: Item) -> str:
    return str(item.meta.params.get("shows", item.meta.group))


def _claimed(item: Item) -> str:
    return str(item.meta.params.get("claimed", item.meta.group))


def _lacking(what: str, pool: Sequence[Item]) -> UsageError:
    return UsageError(
        f"there is {what} among {len(pool)} of the corpus",
        "raise fit.pool, or build a corpus that has some",
    )
