from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.networks.face_encoder.masking import masked
from forensics.networks.face_encoder.regions import (
    BACKGROUND,
    BROWS,
    COVERED_WHOLE,
    EYES,
    HAIR,
    MOUTH,
    NOSE,
    REGIONS,
    SKIN,
    template,
    touching,
)


def template_touching(side: int = 112, patch: int = 8) -> np.ndarray:
    across, down = np.meshgrid(np.arange(side), np.arange(side))
    return touching(template(np.stack([across, down], -1) + 0.5), patch)


def partition(found: np.ndarray, region: int) -> list[np.ndarray]:
    """Patches of each region but the covered one, each patch in the first that it touches."""
    taken, parts = found[region].copy(), []
    for place, one in enumerate(found):
        own = one & ~taken & (place != region)
        parts.append(own)
        taken |= own
    return parts


def test_the_template_has_every_part_where_faces_have_it():
    def part(x, y):
        return int(template(np.array([x, y], float)))

    assert part(38.3, 51.7) in EYES and part(73.5, 51.5) in EYES
    assert part(38.3, 40) in BROWS and part(73.5, 40) in BROWS
    assert part(56, 71.7) == NOSE and part(41.5, 92.4) in MOUTH and part(56, 92.4) in MOUTH
    assert part(56, 112) == SKIN and part(20, 75) == SKIN
    assert part(56, 5) == HAIR and part(-40, 60) == BACKGROUND and part(56, 180) == BACKGROUND
    found = template_touching()
    assert found.shape == (8, 196) and found.any(0).all() and found.any(1).all()


def test_a_patch_touches_what_one_of_its_pixels_is():
    parsing = np.full((8, 8), SKIN, np.uint8)
    parsing[0, 0] = NOSE
    parsing[4:, :4] = BACKGROUND
    parsing[4, 4] = HAIR
    found = dict(zip(REGIONS, touching(parsing, 4), strict=True))
    assert found["nose"].tolist() == [True, False, False, False]
    assert found["skin"].tolist() == [True, True, False, True]
    assert found["background"].tolist() == [False, False, True, False]
    assert found["boundary"].tolist() == [False, False, False, True]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), share=st.sampled_from([0.25, 0.5, 0.6, 0.75, 0.9]))
def test_exactly_the_share_is_hidden_and_one_region_whole(seed, share):
    found = template_touching()
    drawn = masked(found, share, np.random.default_rng(seed))
    assert drawn.hidden.sum() == int(share * 196)
    assert not (drawn.covered & ~drawn.hidden).any()
    assert drawn.region < COVERED_WHOLE
    if found[drawn.region].sum() < int(share * 196):
        assert np.array_equal(drawn.covered, found[drawn.region])
    else:
        assert np.array_equal(drawn.covered, drawn.hidden)


@pytest.mark.parametrize("seed", range(12))
def test_every_other_region_is_hidden_by_the_same_share(seed):
    found = template_touching(224, 8)  # 784 patches: shares are fine enough to be compared
    drawn = masked(found, 0.75, np.random.default_rng(seed))
    covered = int(drawn.covered.sum())
    rate = (588 - covered) / (784 - covered)
    extra = abs(
        sum(round(rate * part.sum()) for part in partition(found, drawn.region)) - 588 + covered
    )
    for part in partition(found, drawn.region):
        if part.any():
            # to the nearest patch, but for the few that make the count exact
            assert abs(drawn.hidden[part].sum() - rate * part.sum()) <= 0.5 + extra


def test_which_region_is_covered_is_drawn_evenly_and_by_the_seed_alone():
    found = template_touching()
    regions = [masked(found, 0.75, np.random.default_rng(seed)).region for seed in range(600)]
    counts = np.bincount(regions, minlength=8)
    assert counts[COVERED_WHOLE:].sum() == 0 and counts[:COVERED_WHOLE].min() > 60
    one, other = (masked(found, 0.75, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(one.hidden, other.hidden)


def test_a_region_larger_than_the_share_is_covered_as_far_as_that():
    found = np.zeros((8, 16), bool)
    found[2, :14] = found[7, 14:] = True
    drawn = masked(found, 0.5, np.random.default_rng(0))
    assert drawn.region == 2 and drawn.hidden.sum() == 8
    assert np.array_equal(drawn.covered, drawn.hidden) and not drawn.covered[14:].any()


def test_without_any_part_of_a_face_patches_are_hidden_at_random():
    found = np.zeros((8, 16), bool)
    found[7] = True
    assert masked(found, 0.75, np.random.default_rng(0)).hidden.sum() == 12


@pytest.mark.parametrize("share", [0.0, 0.001, 1.0])
def test_a_share_that_hides_nothing_or_all_is_refused(share):
    with pytest.raises(ValueError, match="hides"):
        masked(template_touching(), share, np.random.default_rng(0))
