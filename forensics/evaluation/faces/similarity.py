"""The baseline that every detector on a corpus of faces stands beside: how alike two faces are.

A person's centre is the mean of the embeddings of the photos enrolled of them; a picture's score is
the cosine between its face and the centre of the person whom it claims to show. That looks for no
trace of any forgery, and still turns away what does not resemble the person.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from forensics.errors import MediaError
from forensics.evaluation.faces.claims import ENROL, Claim
from forensics.evaluation.images.pictures import PictureSet
from forensics.faces.tools import FaceConfig, FaceTools, open_faces
from forensics.media.image import read_image
from forensics.progress import Progress

BASELINE = "embedding-baseline"
LEAST_ENROLLED = 2
REFUSED = 0.05


@dataclass(frozen=True)
class Similarities:
    """How like the claimed people the faces of N pictures are.

    Attributes:
        score: float64 (N,), cosines; NaN where there is no face, or nobody enrolled to compare
            with; higher = the claimed person.
        threshold: that `REFUSED` of the enrolled photos, each compared with the others of its
            person, lie below; NaN where there are none.
        enrolled: how many photos the centres are made of; people: how many centres.
        tools: what finds and compares faces.
    """

    score: np.ndarray
    threshold: float
    enrolled: int
    people: int
    tools: str


def similarities(
    pictures: PictureSet, claims: Mapping[str, Claim], config: FaceConfig | None = None
) -> Similarities:
    """Compare every picture with the photos enrolled of the person that it claims to show.

    Args:
        config: what finds and compares faces; None takes what needs no download.

    Raises:
        MissingRequirement, UsageError: as `open_faces`.
    """
    tools = open_faces(config)
    made = [claims.get(clip.key) for clip in pictures.clips]
    vectors = _embedded(pictures, made, tools)
    known: dict[str, list[np.ndarray]] = {}
    for claim, vector in zip(made, vectors, strict=True):
        if claim is not None and claim.use == ENROL and vector is not None:
            known.setdefault(claim.claimed, []).append(vector)
    known = {name: rows for name, rows in known.items() if len(rows) >= LEAST_ENROLLED}
    centres = {name: _unit(np.sum(rows, 0)) for name, rows in known.items()}
    score = np.full(len(made), np.nan)
    for place, (claim, vector) in enumerate(zip(made, vectors, strict=True)):
        if claim is not None and vector is not None and claim.claimed in centres:
            score[place] = float(vector @ centres[claim.claimed])
    own = [one for rows in known.values() for one in left_out(np.stack(rows))]
    threshold = float(np.quantile(own, REFUSED)) if own else float("nan")
    return Similarities(score, threshold, len(own), len(centres), tools.fingerprint())


def left_out(rows: np.ndarray) -> list[float]:
    """Unit vectors (N, D) → the cosine of each to the centre of the others, N at least 2."""
    total = rows.sum(0)
    return [float(row @ _unit(total - row)) for row in rows]


def _embedded(
    pictures: PictureSet, claims: Sequence[Claim | None], tools: FaceTools
) -> list[np.ndarray | None]:
    found: list[np.ndarray | None] = [None] * len(claims)
    wanted = [place for place, claim in enumerate(claims) if claim is not None]
    with Progress(len(wanted), "comparing faces", "pictures") as progress:
        for place, marked in pictures.read(wanted):
            try:
                picture = read_image(marked.picture)
                pixels = picture.upright(picture.pixels)
                faces = tools.locate(pixels)
                if faces:
                    found[place] = tools.embed([tools.crop(pixels, faces[0])])[0]
            except MediaError:  # a face too small, a file that is told of elsewhere
                pass
            progress.advance()
    return found


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(float(np.linalg.norm(vector)), 1e-12)
