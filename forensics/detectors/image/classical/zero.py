"""ZERO: JPEG grids that do not belong, with a number of false alarms.

Nikoukhah, Anger, Colom, Morel, Grompone von Gioi, "ZERO: a Local JPEG Grid Origin Detector Based
on the Number of DCT Zeros and its Applications in Image Forensics", IPOL 11, 2021. Written from
the paper.

Compression leaves more zero DCT coefficients in a block of the grid it used than in a block of
any other. Each pixel votes for the grid whose block over it has most. A grid that got more votes
than chance explains (binomial, a contrario) is there: over the whole picture, or over a region
where it should not be.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from forensics.detectors.image.base import Finding, ImageDetector, register_image_detector
from forensics.detectors.image.classical.common import (
    BLOCK,
    box_mean,
    cannot,
    dct_matrix,
    luma_plane,
    recompressed,
    strips,
    too_small,
)
from forensics.detectors.image.components import components
from forensics.detectors.image.planes import Plane
from forensics.media.image import Picture

GRIDS = BLOCK * BLOCK
# "Rounds to zero"; the margin keeps coefficients that are exactly 0.5 out, whatever the rounding.
ZERO_BELOW = 0.5 - 1e-9
STRIP_PIXELS = 1 << 20  # whose zeros are counted at a time
REACH = 6  # two votes at most 2 * REACH + 1 pixels apart belong to one region
NO_VOTE = -1
CAP = 5.0  # log10 of the number of false alarms above which nothing more is said
FRESH_QUALITY = 99
# An area with no grid votes for the main one by chance alone, 1 in 64.
ABSENT_SHARE = 0.15
LEANING_SIDE = 33


@dataclass(frozen=True)
class Region:
    """Pixels that vote together for one grid, with `log10_nfa` for as many in their square.

    Attributes:
        window: rows and columns of the picture that hold the region.
        mask: bool, the region in that window.
        box: left, top, width, height of its votes.
    """

    grid: int
    log10_nfa: float
    window: tuple[slice, slice]
    mask: np.ndarray
    box: tuple[int, int, int, int]


@register_image_detector
class Zero(ImageDetector):
    name = "zero"
    version = "1"
    licence = "Apache-2.0"
    summary = "JPEG grids that do not belong (a contrario); also in decoded PNG"
    paper = "Nikoukhah et al., IPOL 11, 2021"

    def examine(self, picture: Picture) -> Finding:
        reason = too_small(picture)
        if reason:
            return cannot(reason)
        grey = luma_plane(picture.pixels)
        votes = grid_votes(grey)
        main, main_nfa = main_grid(votes)
        # Votes for the main grid are none for a region that lacks it.
        foreign, nearest = foreign_regions(votes, excluded=main)
        absent: list[Region] = []
        if main is not None:
            absent, nearest_absent = missing_regions(grey, votes, main)
            nearest = min(nearest, nearest_absent)
        details = {
            "main_grid": None if main is None else [main % BLOCK, main // BLOCK],
            "main_grid_log10_nfa": round(main_nfa, 2),
            "cropped_after_jpeg": None if main is None else main != 0,
            "foreign": [_told(region) for region in foreign],
            "missing": [_told(region) for region in absent],
        }
        if main is None and not foreign:
            return cannot("no JPEG grid: never compressed, or resized or filtered since", **details)
        mask = np.zeros(votes.shape, bool)
        for region in (*foreign, *absent):
            mask[region.window] |= region.mask
        marked = Plane.packed(mask)
        return Finding(
            score=min(nearest, CAP),
            heatmap=_heatmap(_leaning(votes, main), marked),
            mask=marked,
            details=details,
        )


def grid_votes(grey: Plane) -> np.ndarray:
    """uint8 (H, W) → int8 (H, W): the grid's origin, column + 8 * row, or -1 for no vote.

    No vote: two grids have equally many zeros, the best block is constant along a row or a
    column, or fewer than 64 blocks cover the pixel (the outer 7 pixels).
    """
    votes = np.full(grey.shape, NO_VOTE, np.int8)
    for window, cast in vote_strips(grey):
        votes[window] = cast
    return votes


def vote_strips(grey: Plane) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """The same, strip by strip, each with the rows and columns where it lies."""
    height, width = grey.shape
    margin = BLOCK - 1
    rows = max(4 * BLOCK, min(256, STRIP_PIXELS // width))
    for top, bottom in strips(margin, height - margin, rows):
        piece = grey.rows(top - margin, bottom + margin)
        window = slice(top, bottom), slice(margin, width - margin)
        yield window, _strip_votes(piece, top - margin)


def _strip_votes(grey: np.ndarray, first_row: int) -> np.ndarray:
    import cv2

    zeros = _zero_counts(grey)
    rows = (np.arange(zeros.shape[0]) + first_row) % BLOCK
    columns = np.arange(zeros.shape[1]) % BLOCK
    origin = rows[:, None] * BLOCK + columns[None, :]
    flat = _constant_blocks(grey)
    # A window of 8 x 8 blocks holds each origin once. The best block with the highest origin and
    # the one with the lowest are the same exactly when there is no tie.
    kernel = np.ones((BLOCK, BLOCK), np.uint8)
    last = BLOCK - 1

    def best(tie_break: np.ndarray) -> np.ndarray:
        keys = (zeros.astype(np.uint16) * GRIDS + tie_break) * 2 + flat
        return cv2.dilate(keys.astype(np.uint16), kernel, anchor=(last, last))[last:, last:]

    high, low = best(origin), best(GRIDS - 1 - origin)
    winner = (high // 2) % GRIDS
    valid = (winner == GRIDS - 1 - (low // 2) % GRIDS) & (high % 2 == 0)
    return np.where(valid, winner, NO_VOTE).astype(np.int8)


def _zero_counts(grey: np.ndarray) -> np.ndarray:
    """uint8 (H, W) → uint8 (H - 7, W - 7): zero AC coefficients of the block that begins there."""
    import cv2

    height, width = grey.shape[0] - BLOCK + 1, grey.shape[1] - BLOCK + 1
    basis, plane = dct_matrix(), grey.astype(np.float64)
    counts = np.zeros((height, width), np.uint8)
    for u in range(BLOCK):
        down = cv2.filter2D(plane, cv2.CV_64F, basis[u].reshape(-1, 1), anchor=(0, 0))[:height]
        for v in range(BLOCK):
            if u or v:
                row = cv2.filter2D(down, cv2.CV_64F, basis[v].reshape(1, -1), anchor=(0, 0))
                counts += np.abs(row[:, :width]) < ZERO_BELOW
    return counts


def _constant_blocks(grey: np.ndarray) -> np.ndarray:
    """bool (H - 7, W - 7): blocks whose rows, or whose columns, are all alike."""
    import cv2

    height, width = grey.shape[0] - BLOCK + 1, grey.shape[1] - BLOCK + 1

    def everywhere(same: np.ndarray, rows: int, columns: int) -> np.ndarray:
        kernel = np.ones((rows, columns), np.uint8)
        return cv2.erode(same.astype(np.uint8), kernel, anchor=(0, 0))[:height, :width] > 0

    along = everywhere(grey[:, 1:] == grey[:, :-1], BLOCK, BLOCK - 1)
    return along | everywhere(grey[1:] == grey[:-1], BLOCK - 1, BLOCK)


def log10_tail(n: int, k: int) -> float:
    """log10 of P(at least k of n), each with probability 1 / 64; 0 where k is no excess."""
    p = 1 / GRIDS
    if k <= n * p:
        return 0.0
    ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    first = ways + k * math.log(p) + (n - k) * math.log1p(-p)
    total, term = 1.0, 1.0
    for i in range(k, n):
        term *= (n - i) / (i + 1) * p / (1 - p)
        total += term
        if term < 1e-12 * total:
            break
    return (first + math.log(total)) / math.log(10)


def log10_tests(shape: tuple[int, ...]) -> float:
    """64 grids in each of the picture's squares."""
    return math.log10(GRIDS) + 1.5 * math.log10(shape[0] * shape[1])


def main_grid(votes: np.ndarray) -> tuple[int | None, float]:
    """The grid of the whole picture, if any, and its log10 number of false alarms.

    The 64 votes inside one block are not independent, hence votes and pixels count in blocks.
    """
    counts = _counted(votes)
    best = int(counts.argmax())
    nfa = log10_tests(votes.shape) + log10_tail(votes.size // GRIDS, int(counts[best]) // GRIDS)
    return (best if nfa < 0 else None), nfa


def _counted(votes: np.ndarray) -> np.ndarray:
    """int64 (64,): votes for each grid."""
    counts = np.zeros(GRIDS, np.int64)
    for _, band in Plane.of(votes).bands():
        counts += np.bincount(band[band >= 0], minlength=GRIDS)
    return counts


def foreign_regions(
    votes: np.ndarray, excluded: int | None, grids: range = range(GRIDS)
) -> tuple[list[Region], float]:
    """Regions of the grids but `excluded` with fewer than one false alarm, and the lowest
    log10 number of false alarms of any."""
    tests = log10_tests(votes.shape)
    counts = _counted(votes)
    found, nearest = [], tests
    for grid in grids:
        # The best that so many votes could reach: all of them in a square that they fill.
        reachable = tests - int(counts[grid]) // GRIDS * math.log10(GRIDS)
        if grid != excluded and reachable < CAP:
            regions, lowest = _regions_of(votes, grid, tests)
            found += regions
            nearest = min(nearest, lowest)
    return found, nearest


def _regions_of(votes: np.ndarray, grid: int, tests: float) -> tuple[list[Region], float]:
    import cv2

    kernel = np.ones((2 * REACH + 1, 2 * REACH + 1), np.uint8)
    cast = Plane(votes.shape, lambda top, bottom: votes[top:bottom] == grid)

    def near(top: int, bottom: int) -> np.ndarray:
        first, last = max(0, top - REACH), min(votes.shape[0], bottom + REACH)
        grown = cv2.dilate(cast.rows(first, last).view(np.uint8), kernel)
        return grown[top - first : bottom - first].view(bool)

    parts = components(Plane(votes.shape, near), second=cast)
    found, lowest = [], tests
    # Only parts that could come near one false alarm if their votes filled their square.
    reachable = tests - parts.counted // GRIDS * math.log10(GRIDS)
    for number in np.flatnonzero(reachable < CAP).tolist():
        left, top, right, bottom = (int(edge) for edge in parts.boxes[number])
        # Votes lie further from the picture's edge than REACH: the box is theirs, widened by it.
        box = (left + REACH, top + REACH, right - left - 2 * REACH, bottom - top - 2 * REACH)
        squares = min(max(box[2:]) ** 2, votes.size) // GRIDS
        count = min(int(parts.counted[number]) // GRIDS, squares)
        nfa = tests + log10_tail(squares, count)
        lowest = min(lowest, nfa)
        if nfa < 0:
            # With what the erosion must know beside it, where the picture has that.
            first, last = max(0, top - REACH), min(votes.shape[0], bottom + REACH)
            begin, end = max(0, left - REACH), min(votes.shape[1], right + REACH)
            whole = parts.part(number, (begin, first, end, last))
            closed = cv2.erode(whole.view(np.uint8), kernel).view(bool)
            found.append(Region(grid, nfa, (slice(first, last), slice(begin, end)), closed, box))
    return found, lowest


def missing_regions(grey: Plane, votes: np.ndarray, main: int) -> tuple[list[Region], float]:
    """Regions that lack the main grid: they take it on from a light compression, the rest had it.

    A region counts only where hardly any of its votes were for the main grid before.
    """
    row, column = divmod(main, BLOCK)
    gained = np.full(votes.shape, NO_VOTE, np.int8)
    inner = gained[row:, column:]
    for window, fresh in vote_strips(_lightly_compressed(grey, row, column)):
        inner[window] = np.where(fresh == 0, 0, NO_VOTE)
    np.putmask(gained, votes == main, NO_VOTE)
    regions, nearest = foreign_regions(gained, None, range(1))
    kept = []
    for region in regions:
        before = votes[region.window][region.mask]
        cast = int((before >= 0).sum())
        if cast and (before == main).sum() < ABSENT_SHARE * cast:
            kept.append(replace(region, grid=main))
    lowest = min((region.log10_nfa for region in kept), default=CAP)
    return kept, lowest if regions else nearest


def _lightly_compressed(grey: Plane, row: int, column: int) -> Plane:
    """What lies right of and below a pixel after one JPEG compression; blocks of brightness alone
    know nothing of one another, so strips of them come out as the whole does."""
    height, width = grey.shape[0] - row, grey.shape[1] - column

    def rows(top: int, bottom: int) -> np.ndarray:
        first, last = top // BLOCK * BLOCK, min(height, -(-bottom // BLOCK) * BLOCK)
        piece = grey.rows(row + first, row + last)[:, column:]
        return recompressed(piece, FRESH_QUALITY)[top - first : bottom - first]

    return Plane((height, width), rows)


def _leaning(votes: np.ndarray, main: int | None) -> Plane:
    """float32 in [0, 0.5]: the share of votes nearby that are not for the main grid.

    Below what is called manipulated: without significance it is a leaning and no more.
    """

    def rows(top: int, bottom: int) -> np.ndarray:
        if main is None:
            return np.zeros((bottom - top, votes.shape[1]), np.float32)
        reach = LEANING_SIDE // 2
        first, last = max(0, top - reach), min(votes.shape[0], bottom + reach)
        band = votes[first:last]
        cast = box_mean((band >= 0).astype(np.float32), LEANING_SIDE)
        other = box_mean(((band >= 0) & (band != main)).astype(np.float32), LEANING_SIDE)
        leaning = np.clip(0.5 * other / (cast + 0.1), 0, 0.5).astype(np.float32)
        return leaning[top - first : bottom - first]

    return Plane(votes.shape, rows)


def _heatmap(leaning: Plane, marked: Plane) -> Plane:
    """1 where something is marked, elsewhere the leaning."""

    def rows(top: int, bottom: int) -> np.ndarray:
        return np.maximum(leaning.rows(top, bottom), marked.rows(top, bottom).astype(np.float32))

    return Plane(leaning.shape, rows)


def _told(region: Region) -> dict[str, object]:
    return {
        "grid": [region.grid % BLOCK, region.grid // BLOCK],
        "log10_nfa": round(region.log10_nfa, 2),
        "box": list(region.box),
        "pixels": int(region.mask.sum()),
    }
