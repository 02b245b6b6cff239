"""Finding and comparing faces with no download: how often it is right, on photos of known people.

    python benchmarks/faces.py --photos FOLDER                      # with a manifest.csv
    python benchmarks/faces.py --photos FOLDER --frames FOLDER      # and pictures without portraits

`manifest.csv` has the columns path and identity. A face counts as found where the middle of a box
lies within 15 % of the photo's width from the photo's middle: for photos that are centred on one
face. Comparing is measured on half of the people (every second one, sorted by name); the other
half chose the descriptor's settings. Times are CPU time on one thread.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

import argparse
import csv
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from machine import machine, table
from PIL import Image

from forensics.faces.base import Face, FaceCrop
from forensics.faces.cascade import CascadeLocator
from forensics.faces.tools import FaceTools, open_faces

VOTES = (3, 5, 8)
ANGLES = (0, 15, 30, 45)
SHARES = (1.0, 0.5, 0.25)
NEAR = 0.15
Photo = tuple[str, str, np.ndarray]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--frames", type=Path, help="folder of pictures that show no portraits")
    parser.add_argument("--every", type=int, default=5, help="use every n-th photo to find faces")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    print(f"{machine()}, OpenCV {cv2.__version__}, one thread\n")
    photos = read(given.photos)
    sets = [(name, list(group)) for name, group in groupby(photos, key=lambda one: one[0])]
    for name, group in sets:
        print(f"{name}: {len(group)} photos, {len({who for _, who, _ in group})} people")
    some = [(name, group[:: given.every]) for name, group in sets]
    print(f"\n{table([finding(name, group, votes) for votes in VOTES for name, group in some])}")
    print(f"\n{table([turned(name, group) for name, group in some])}")
    print(f"\n{table([shrunk(name, group) for name, group in some])}")
    if given.frames:
        print(f"\n{table([false_alarms(given.frames, v) for v in VOTES])}")
    print(f"\n{table(comparing(photos))}")


def read(folder: Path) -> list[Photo]:
    """Set (the first part of the identity), identity and pixels, sorted by set."""
    with (folder / "manifest.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    photos = []
    for row in rows:
        with Image.open(folder / row["path"]) as image:
            pixels = np.array(image.convert("RGB"))
        photos.append((row["identity"].partition("_")[0], row["identity"], pixels))
    return sorted(photos, key=lambda one: one[0])


def finding(name: str, photos: list[Photo], votes: int) -> dict[str, Any]:
    locator, found, others, largest = CascadeLocator(votes=votes), 0, 0, 0
    start = time.process_time()
    for _, _, pixels in photos:
        faces = locator.locate(pixels)
        hits = [face for face in faces if _central(face, pixels)]
        found += bool(hits)
        largest += bool(faces) and _central(faces[0], pixels)
        others += len(faces) - bool(hits)
    spent = (time.process_time() - start) / len(photos)
    return {
        "photos": name,
        "votes": votes,
        "found %": _percent(found, len(photos)),
        "and the largest %": _percent(largest, len(photos)),
        "further boxes a photo": round(others / len(photos), 3),
        "s a photo": round(spent, 3),
    }


def turned(name: str, photos: list[Photo]) -> dict[str, Any]:
    """Found where the photo is turned in its plane by so many degrees."""
    row: dict[str, Any] = {"photos": f"{name}, found % at a lean of"}
    locator = CascadeLocator()
    for angle in ANGLES:
        found = 0
        for _, _, pixels in photos:
            height, width = pixels.shape[:2]
            lean = cv2.getRotationMatrix2D((width / 2, height / 2), angle, 1.0)
            leaning = cv2.warpAffine(pixels, lean, (width, height), borderMode=cv2.BORDER_REPLICATE)
            found += any(_central(face, pixels) for face in locator.locate(leaning))
        row[f"{angle}°"] = _percent(found, len(photos))
    return row


def shrunk(name: str, photos: list[Photo]) -> dict[str, Any]:
    """Found where the photo is scaled down."""
    row: dict[str, Any] = {"photos": f"{name}, found % at a scale of"}
    locator = CascadeLocator()
    for share in SHARES:
        found = 0
        for _, _, pixels in photos:
            small = cv2.resize(pixels, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
            found += any(_central(face, small) for face in locator.locate(small))
        row[str(share)] = _percent(found, len(photos))
    return row


def false_alarms(folder: Path, votes: int) -> dict[str, Any]:
    pictures = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".png"))
    pictures = pictures[:: max(len(pictures) // 50, 1)]
    locator, found = CascadeLocator(votes=votes), 0
    start = time.process_time()
    for path in pictures:
        with Image.open(path) as image:
            found += len(locator.locate(np.array(image.convert("RGB"))))
    spent = (time.process_time() - start) / len(pictures)
    return {
        "votes": votes,
        "pictures without portraits": len(pictures),
        "boxes a picture": round(found / len(pictures), 3),
        "s a picture": round(spent, 3),
    }


def comparing(photos: list[Photo]) -> list[dict[str, Any]]:
    """Equal error rates of "the same person" over all pairs of photos within a set."""
    tools = open_faces()
    half = sorted({who for _, who, _ in photos})[1::2]
    kept = [one for one in photos if one[1] in half]
    faces = [_main_face(tools, pixels) for _, _, pixels in kept]
    rows = []
    for eyes in (True, False):
        crops: list[FaceCrop] = []
        labels: list[tuple[str, str]] = []
        for (name, who, pixels), face in zip(kept, faces, strict=True):
            if face is not None:
                crops.append(tools.crop(pixels, face if eyes else replace(face, landmarks=None)))
                labels.append((name, who))
        vectors = tools.embed(crops)
        for name in sorted({name for name, _ in labels}):
            chosen = [i for i, label in enumerate(labels) if label[0] == name]
            people = np.array([labels[i][1] for i in chosen])
            rows.append(
                {
                    "photos": name,
                    "made upright by": "eyes" if eyes else "box",
                    "people": len(set(people)),
                    "faces": len(chosen),
                    **_errors(vectors[chosen] @ vectors[chosen].T, people),
                }
            )
    return rows


def _errors(likeness: np.ndarray, people: np.ndarray) -> dict[str, Any]:
    first, second = np.triu_indices(len(people), 1)
    scores, same = likeness[first, second], people[first] == people[second]
    at = np.unique(scores)
    missed = np.searchsorted(np.sort(scores[same]), at) / same.sum()
    wrong = 1 - np.searchsorted(np.sort(scores[~same]), at) / (~same).sum()
    where = int(np.abs(missed - wrong).argmin())
    rare = int((wrong <= 0.01).argmax())
    np.fill_diagonal(likeness, -1)
    nearest = people[likeness.argmax(axis=1)] == people
    return {
        "pairs of one person": int(same.sum()),
        "EER %": round(50 * float(missed[where] + wrong[where]), 1),
        "at likeness": round(float(at[where]), 3),
        "found at 1 % false %": round(100 * float(1 - missed[rare]), 1),
        "nearest is right %": round(100 * float(nearest.mean()), 1),
    }


def _main_face(tools: FaceTools, pixels: np.ndarray) -> Face | None:
    """The largest in the middle."""
    faces = [face for face in tools.locate(pixels) if _central(face, pixels)]
    return next((f for f in faces if f.box[2] - f.box[0] >= 32), None)


def _central(face: Face, pixels: np.ndarray) -> bool:
    height, width = pixels.shape[:2]
    left, top, right, bottom = face.box
    off = max(abs(left + right - width), abs(top + bottom - height)) / 2
    return off < NEAR * max(height, width)


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1)


if __name__ == "__main__":
    main()
