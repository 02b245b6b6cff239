"""Who plays whom: photos for enrolment, look-alikes, donors. Drawn from names and a seed alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice

import numpy as np

from forensics.corpus.faces.photo import Photo
from forensics.corpus.names import item_seed


def enrolment(photos: Iterable[Photo], count: int, seed: int) -> set[str]:
    """Ids of the photos set apart: `count` of each person who has two more at least."""
    chosen: set[str] = set()
    for members in by_identity(photos).values():
        if count and len(members) >= count + 2:
            drawn = sorted(members, key=lambda photo: item_seed(seed, "enrol", photo.id))
            chosen |= {photo.id for photo in drawn[:count]}
    return chosen


def by_identity(photos: Iterable[Photo]) -> dict[str, list[Photo]]:
    found: dict[str, list[Photo]] = defaultdict(list)
    for photo in photos:
        found[photo.identity].append(photo)
    return dict(found)


class Cast:
    """The people of one split: photos that may be forged, and how alike the faces are.

    Args:
        photos: usable ones of one split, none of them for enrolment.
        embeddings: by photo id, float32 (D,), unit length.
    """

    def __init__(self, photos: Sequence[Photo], embeddings: Mapping[str, np.ndarray], seed: int):
        self._seed = seed
        self._vectors = embeddings
        self._photos = {
            name: sorted(members, key=lambda photo: photo.id)
            for name, members in sorted(by_identity(photos).items())
        }
        self._names = list(self._photos)
        self._group = {name: members[0].group for name, members in self._photos.items()}
        sums = [
            _unit(np.sum([embeddings[photo.id] for photo in members], axis=0))
            for members in self._photos.values()
        ]
        self._centres = np.array(sums, np.float32)
        self._place = {name: place for place, name in enumerate(self._names)}
        self._last: tuple[str, list[str]] | None = None

    def lookalikes(self, per_identity: int, among: int) -> dict[str, str]:
        """Photo id → whom it claims to show; a photo claims one name at most.

        Everybody in turn takes the photo that resembles them most, of those of the people who
        resemble them most; with colour or without as theirs are.
        """
        wanted = {name: self._resembling(name, among) for name in self._photos}
        claims: dict[str, str] = {}
        for _ in range(per_identity):
            for name, offered in wanted.items():
                free = next((photo for photo in offered if photo.id not in claims), None)
                if free is not None:
                    claims[free.id] = name
        return claims

    def other_donor(self, target: Photo, system: str, among: int) -> Photo | None:
        """A photo of somebody who resembles the target, with colour or without as the target's."""
        offered = (
            [photo for photo in self._photos[name] if photo.grey == target.grey]
            for name in self._most_alike(target.identity)
        )
        people = list(islice(filter(None, offered), among))
        if not people:
            return None
        person = people[self._draw(len(people), "who", target.id, system)]
        return person[self._draw(len(person), "photo", target.id, system)]

    def own_donors(self, target: Photo, system: str, count: int) -> list[Photo]:
        """Further photos of the target's person, `count` at most."""
        others = [photo for photo in self._photos[target.identity] if photo.id != target.id]
        others.sort(key=lambda photo: item_seed(self._seed, "own", target.id, system, photo.id))
        return others[:count]

    def more_of(self, donor: Photo, count: int) -> list[Photo]:
        """The donor's photo first, then others of the same person with the same colour."""
        others = [
            photo
            for photo in self._photos[donor.identity]
            if photo.id != donor.id and photo.grey == donor.grey
        ]
        return [donor, *others][:count]

    def _resembling(self, name: str, among: int) -> list[Photo]:
        """Photos of the people who resemble this one most, the most similar photo first."""
        sorts = {photo.grey for photo in self._photos[name]}
        offered = (
            [photo for photo in self._photos[other] if photo.grey in sorts]
            for other in self._most_alike(name)
        )
        people = list(islice(filter(None, offered), among))
        centre = self._centres[self._place[name]]
        return sorted(
            (photo for photos in people for photo in photos),
            key=lambda photo: (-float(self._vectors[photo.id] @ centre), photo.id),
        )

    def _most_alike(self, name: str) -> list[str]:
        """Everybody of another group, the most similar first; equals by name. The last answer is
        kept: people come one after the other, and all answers would not fit into memory."""
        if self._last is None or self._last[0] != name:
            likeness = self._centres @ self._centres[self._place[name]]
            ranked = (self._names[place] for place in np.argsort(-likeness, kind="stable"))
            self._last = name, [one for one in ranked if self._group[one] != self._group[name]]
        return self._last[1]

    def _draw(self, options: int, *parts: str) -> int:
        return item_seed(self._seed, *parts) % options


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
