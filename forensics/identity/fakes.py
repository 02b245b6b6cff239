"""Forgeries of a person made of their own photos, for enrolments without known ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from forensics.errors import ForensicsError
from forensics.identity.photos import Photo
from forensics.identity.views import View

if TYPE_CHECKING:
    from forensics.faces.tools import FaceTools
    from forensics.generators.face.base import FaceForger, FaceRequest, Portrait


def made_fakes(
    slug: str, own: Sequence[Photo], others: Sequence[Photo], tools: FaceTools
) -> list[Photo]:
    """Each photo blended with itself, the person's face put into other people's photos, and the
    person into other people's scenes: by every forger of these kinds that needs no weights.

    Args:
        own, others: photos with a view.
    """
    from forensics.generators.face.base import FORGERS

    made: list[Photo] = []
    for name in FORGERS.names():
        kind = FORGERS.get(name).kind
        if kind not in ("selfblend", "faceswap", "context"):
            continue
        forger = FORGERS.get(name)()
        if forger.check():
            continue
        for number, request in enumerate(_requests(slug, forger, own, others)):
            try:
                forged = forger.forge(request).pixels
                crop = tools.crop(forged, request.target.face)
            except ForensicsError:  # what this forger cannot do, another may
                continue
            view = View(forged, (0, 0, *forged.shape[1::-1]), request.target.face)
            vector = tools.embed([crop])[0]
            made.append(Photo(f"{name} {number}", vector, view, kind == "context"))
    return made


def _requests(
    slug: str, forger: FaceForger, own: Sequence[Photo], others: Sequence[Photo]
) -> Iterator[FaceRequest]:
    from forensics.generators.face.base import FaceRequest

    mine, scenes = _portraits(slug, own), _portraits("other", others)
    for number, target in enumerate(mine if forger.kind == "selfblend" else scenes):
        donors = () if forger.donors == "none" or not mine else (mine[number % len(mine)],)
        yield FaceRequest(f"{slug} {number}", number, target, donors)


def _portraits(identity: str, photos: Sequence[Photo]) -> list[Portrait]:
    from forensics.generators.face.base import Portrait

    views = [photo.kept for photo in photos if photo.kept is not None]
    return [Portrait(identity, view.pixels, view.face) for view in views if view.face is not None]
