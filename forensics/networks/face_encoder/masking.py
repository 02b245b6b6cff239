"""CRFR-P masking: one part of the face is covered whole, the same share of every other part.

Of FSFM (Wang et al., "FSFM: A Generalizable Face Security Foundation Model via Self-Supervised
Facial Representation Learning", CVPR 2025): "covering a random facial region, then proportional".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forensics.networks.face_encoder.regions import COVERED_WHOLE


@dataclass(frozen=True)
class Masking:
    """Which patches are hidden.

    Attributes:
        hidden: bool (N,), always the same number of patches for one share.
        covered: bool (N,), those of the region that is hidden whole; a part of `hidden`.
        region: its place in `REGIONS`.
    """

    hidden: np.ndarray
    covered: np.ndarray
    region: int


def masked(touching: np.ndarray, share: float, rng: np.random.Generator) -> Masking:
    """Draw a masking.

    A patch that touches several regions counts for the covered one, else for the first of them.
    Of each other region the same share is hidden, to the nearest patch; then patches outside the
    covered region are hidden or shown at random until the count is exact. A region of more patches
    than may be hidden is covered as far as that.

    Args:
        touching: bool (8, N), as `regions.touching` gives it.
        share: of the patches that are hidden, in (0, 1); their number is rounded down.

    Raises:
        ValueError: a share that hides no patch or all.
    """
    count = touching.shape[1]
    wanted = int(share * count)
    if not 0 < wanted < count:
        raise ValueError(f"a share of {share} of {count} patches hides {wanted}")
    there = [place for place in range(COVERED_WHOLE) if touching[place].any()]
    region = int(rng.choice(there)) if there else len(touching) - 1
    covered = touching[region].copy()
    if covered.sum() >= wanted:
        kept = rng.choice(np.flatnonzero(covered), wanted, replace=False)
        covered = np.isin(np.arange(count), kept)
        return Masking(covered, covered.copy(), region)
    hidden = covered.copy()
    rate = (wanted - covered.sum()) / (count - covered.sum())
    counted = covered.copy()
    for other in touching:
        own = np.flatnonzero(other & ~counted)
        hidden[rng.choice(own, round(rate * len(own)), replace=False)] = True
        counted |= other
    _make_exact(hidden, covered, wanted, rng)
    return Masking(hidden, covered, region)


def _make_exact(
    hidden: np.ndarray, covered: np.ndarray, wanted: int, rng: np.random.Generator
) -> None:
    """Hide or show so many more that `wanted` are hidden; the covered ones stay hidden."""
    lacking = wanted - int(hidden.sum())
    among = np.flatnonzero(~hidden if lacking > 0 else hidden & ~covered)
    hidden[rng.choice(among, abs(lacking), replace=False)] = lacking > 0
