"""What comparing faces alone accepts and turns away, on a corpus of `build-dataset identity`.

    python benchmarks/face_similarity.py CORPUS [--frr 0.05] [--seed 0]

People are halved, by a seed. The threshold at which the share `--frr` of real photos is turned away
is chosen on one half and applied to the other, and the other way round; shares are over both. A
photo is compared with the centre of the photos enrolled of the person that it claims to show; other
people are each real photo against everybody else's centre, within its half.
"""

from __future__ import annotations

import argparse
from collections import defaultdict

import numpy as np

from forensics.errors import MediaError
from forensics.evaluation.faces.claims import ENROL, REAL, Claim, claims_of
from forensics.evaluation.images.pictures import open_pictures
from forensics.evaluation.metrics import auc, eer
from forensics.faces.tools import open_faces
from forensics.media.image import read_image
from forensics.progress import Progress

OTHERS = "another person's real photo"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("corpus")
    parser.add_argument("--frr", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows, centres, missed = compared(given.corpus)
    people = np.array(sorted(centres))
    np.random.default_rng(given.seed).shuffle(people)
    half = {name: place % 2 for place, name in enumerate(people.tolist())}
    print(f"{len(people)} people in two halves; no face was found in {missed} pictures")
    scores = [sorted_by_kind(rows, centres, half, part) for part in (0, 1)]
    cuts = [float(np.quantile(one[REAL], given.frr)) for one in scores]
    print(f"thresholds for {100 * given.frr:g} % of real photos: {cuts[0]:.4f} and {cuts[1]:.4f}")
    for kind in sorted(set().union(*scores), key=lambda name: (name != REAL, name != OTHERS, name)):
        parts = [np.array(one[kind]) for one in scores]
        accepted = np.concatenate([parts[0] >= cuts[1], parts[1] >= cuts[0]])
        line = f"{kind:32} {len(accepted):6} compared, {100 * accepted.mean():5.1f} % accepted"
        if kind != REAL:
            real, other = (
                np.concatenate([np.array(one[name]) for one in scores]) for name in (REAL, kind)
            )
            line += f", AUC {auc(real, other):.3f}, EER {100 * eer(real, other).value:.1f} %"
        print(line)


def compared(corpus: str) -> tuple[list[tuple[Claim, str, np.ndarray]], dict[str, np.ndarray], int]:
    """Of each probe its claim, who made it, and its embedding; person → centre; faces not found."""
    claims, tools = claims_of(corpus), open_faces()
    pictures = open_pictures(corpus, None, "all").judged
    enrolled: dict[str, list[np.ndarray]] = defaultdict(list)
    rows, missed = [], 0
    with Progress(len(pictures.clips), "comparing faces", "pictures") as progress:
        for place, marked in pictures.read(range(len(pictures.clips))):
            clip = pictures.clips[place]
            claim = claims[clip.key]
            progress.advance()
            picture = read_image(marked.picture)
            pixels = picture.upright(picture.pixels)
            try:
                vector = tools.embed([tools.crop(pixels, tools.locate(pixels)[0])])[0]
            except (IndexError, MediaError):
                missed += 1
                continue
            if claim.use == ENROL:
                enrolled[claim.claimed].append(vector)
            else:
                rows.append((claim, clip.system, vector))
    sums = {name: np.sum(vectors, 0) for name, vectors in enrolled.items() if len(vectors) >= 2}
    return rows, {name: one / np.linalg.norm(one) for name, one in sums.items()}, missed


def sorted_by_kind(
    rows: list[tuple[Claim, str, np.ndarray]],
    centres: dict[str, np.ndarray],
    half: dict[str, int],
    part: int,
) -> dict[str, list[float]]:
    """Cosines of one half's claims, by role and engine."""
    found: dict[str, list[float]] = defaultdict(list)
    for claim, system, vector in rows:
        if half.get(claim.claimed) != part:
            continue
        name = REAL if claim.role == REAL else f"{claim.role} ({system})"
        found[name].append(float(vector @ centres[claim.claimed]))
        if claim.role == REAL:
            others = [one for one in centres if half[one] == part and one != claim.claimed]
            found[OTHERS] += [float(vector @ centres[one]) for one in others]
    return dict(found)


if __name__ == "__main__":
    main()
