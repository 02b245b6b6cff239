"""Enrolled people, asked about the pictures that claim to be them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from forensics.evaluation.faces.claims import ENROL, Claim
from forensics.evaluation.faces.figures import Scored
from forensics.evaluation.images.pictures import PictureSet
from forensics.evaluation.material import PathLike
from forensics.identity.asking import Asking
from forensics.identity.names import slug_of
from forensics.identity.store import IdentityStore
from forensics.progress import Progress
from forensics.verdict.detect import detect_iter
from forensics.verdict.schema import Verdict

LABEL = "identity"
_LEAST = 1e-9  # a probability that is kept away from 0 and 1 by so much


def enrolled_scores(
    pictures: PictureSet, claims: Mapping[str, Claim], folder: PathLike, device: str
) -> Scored:
    """Score each picture by the person that it claims to show, if they are enrolled.

    The score is the logit of "it is them, and nothing was manipulated": the product of both
    probabilities of the verdict, the second one left out where the face was taken for somebody else
    or nothing is calibrated.

    Raises:
        UsageError, CorpusError, MissingRequirement: as `forensics.detect` of an identity.
    """
    store = IdentityStore(str(folder))
    known = set(store.slugs())
    score = np.full(len(pictures.clips), np.nan)
    places: dict[str, list[int]] = defaultdict(list)
    for place, clip in enumerate(pictures.clips):
        claim = claims.get(clip.key)
        if claim is not None and claim.use != ENROL and slug_of(claim.claimed) in known:
            places[claim.claimed].append(place)
    asking = Asking(store=store)
    with Progress(sum(map(len, places.values())), "asking", "pictures") as progress:
        for name, wanted in places.items():
            media = (marked.picture for _, marked in pictures.read(wanted))
            verdicts = detect_iter(
                media, identity=name, asking=asking, device=device, explain=False
            )
            for place, verdict in zip(wanted, verdicts, strict=True):
                score[place] = claim_score(verdict)
                progress.advance()
    origin = "as likely as not that it is the person and nothing was manipulated"
    return Scored(LABEL, score, 0.0, origin)


def claim_score(verdict: Verdict) -> float:
    """Logit that the likeliest face is the person asked for and genuine; NaN without a face."""
    found = [match for face in verdict.faces for match in face.identities]
    if not found:
        return math.nan
    best = max(found, key=lambda match: match.p_same)
    genuine = 1.0 if best.p_manipulated is None else 1 - best.p_manipulated
    p = min(max(best.p_same * genuine, _LEAST), 1 - _LEAST)
    return math.log(p / (1 - p))
