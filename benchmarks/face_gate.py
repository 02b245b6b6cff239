"""How alike photos of one person and of different people are to the face tools: the figures that
`forensics/identity/known.py` holds, and how often mixed sets of photos are found out.

    python benchmarks/face_gate.py FOLDER [--groups orl lfw]

FOLDER has a manifest.csv with the columns path and identity. Each photo is compared with the centre
of its person's other photos, and with the centres of all other people.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np

from forensics.errors import MediaError, UsageError
from forensics.faces.tools import FaceTools, open_faces
from forensics.identity.gate import General, centre_of, fit_gate, left_out, strangers
from forensics.identity.known import general_of
from forensics.identity.looking import look
from forensics.media.image import read_image


def embeddings(folder: Path, tools: FaceTools) -> dict[str, np.ndarray]:
    """Person → unit vectors (N, D) of the largest face of each photo."""
    found: dict[str, list[np.ndarray]] = {}
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            try:
                picture = read_image(folder / row["path"])
            except MediaError as error:
                print(error)
                continue
            faces = look(picture.upright(picture.pixels), tools)
            if faces and faces[0].embedding is not None:
                found.setdefault(row["identity"], []).append(faces[0].embedding)
    return {name: np.stack(vectors) for name, vectors in found.items() if len(vectors) >= 3}


def figures(people: dict[str, np.ndarray]) -> str:
    own = np.concatenate([left_out(vectors) for vectors in people.values()])
    other = np.concatenate(
        [
            vectors @ centre_of(centre)
            for name, centre in people.items()
            for stranger, vectors in people.items()
            if stranger != name
        ]
    )
    spread = float(np.sqrt((own.var() + other.var()) / 2))
    middle = (own.mean() + other.mean()) / 2
    return (
        f"{len(people):3d} people, {len(own)} photos: own {own.mean():.3f} ± {own.std():.3f}, "
        f"other {other.mean():.3f} ± {other.std():.3f}, spread {spread:.3f}; at {middle:.3f} "
        f"{100 * (own < middle).mean():.1f} % of own photos fail, "
        f"{100 * (other >= middle).mean():.1f} % of others pass"
    )


def refused(photos: np.ndarray, general: General) -> bool:
    """Whether an enrolment would end, as `forensics identity enrol` ends it."""
    if strangers(photos, general):
        return True
    try:
        fit_gate(left_out(photos), np.zeros(0), general)
    except UsageError:
        return True
    return False


def found_out(people: dict[str, np.ndarray], general: General, turns: int = 1000) -> str:
    """Shares of sets of six photos that an enrolment refuses: of one person, with one stranger, of
    two people in halves, of six people."""
    rng = np.random.default_rng(0)
    names = sorted(name for name, vectors in people.items() if len(vectors) >= 6)
    clean = mixed = named = halves = sixes = 0
    for _ in range(turns):
        one, other = rng.choice(len(names), 2, replace=False)
        own = rng.permutation(people[names[one]])[:6]
        clean += refused(own, general)
        second = rng.permutation(people[names[other]])
        halves += refused(np.concatenate([own[:3], second[:3]]), general)
        crowd = rng.choice(len(names), 6, replace=False)
        sixes += refused(np.stack([rng.permutation(people[names[i]])[0] for i in crowd]), general)
        own[5] = second[0]
        mixed, named = mixed + refused(own, general), named + (5 in strangers(own, general))
    return (
        f"refused: {100 * clean / turns:.0f} % of sets of one person, {100 * mixed / turns:.0f} % "
        f"of sets with one stranger, who is named in {100 * named / turns:.0f} %, "
        f"{100 * halves / turns:.0f} % of halves of two people, {100 * sixes / turns:.0f} % of six"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--groups", nargs="*", default=[], help="beginnings of names, told apart")
    arguments = parser.parse_args()
    tools = open_faces()
    people = embeddings(arguments.folder, tools)
    print(tools.fingerprint())
    for group in ["", *arguments.groups]:
        some = {name: vectors for name, vectors in people.items() if name.startswith(group)}
        print(f"{group or 'all':8s} {figures(some)}")
        if (general := general_of(tools.fingerprint())) is not None:
            print(f"{'':8s} {found_out(some, general)}")


if __name__ == "__main__":
    main()
