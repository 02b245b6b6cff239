"""Forgeries of a person made of their own photos, for enrolments without known ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from forensics.errors import ForensicsError
from forensics.identity.looking import View
from forensics.identity.photos import Photo

if TYPE_CHECKING:
    from forensics.faces.tools import FaceTools
    from forensics.generators.face.base import FaceForger, FaceRequest, Portrait


def made_fakes(
    slug: str, own: Sequence[Photo], others: Sequence[Photo], tools: FaceTools
) -> list[Photo]:
    """Each photo blended with itself, and the person's face put into other people's photos, by
    every forger of these kinds that needs no weights. Forgeries without a face are left out.

    Args:
        own, others: photos with a view.
    """
    from forensics.generators.face.base import FORGERS

    made: list[Photo] = []
    for name in FORGERS.names():
        if FORGERS.get(name).kind not in ("selfblend", "faceswap"):
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
            view = View(forged, request.target.face)
            made.append(Photo(f"{name} {number}", tools.embed([crop])[0], view))
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
