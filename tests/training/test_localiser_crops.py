"""Crops: where they lie, what they know of the grid, and what they count as forged."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from helpers import picture_corpus

from forensics import shards
from forensics.conditions.image.draw import ImageConditionPolicy
from forensics.errors import UsageError
from forensics.media.image import Picture, encode_image, read_image
from forensics.networks.localiser.jpeg_stream import dct_kernels
from forensics.networks.localiser.residuals import luma
from forensics.training.localiser.crops import Cropper, Labelled, decode
from forensics.training.localiser.held_out import f1_at_cuts

PLAIN = {
    "side": 64,
    "on_mask": 1.0,
    "aligned": 1.0,
    "augment": ImageConditionPolicy(),
    "recompress": 0.0,
    "quality": (70, 90),
    "flip": 0.0,
    "simulated": 0.0,
}


def labelled(height: int = 120, width: int = 152, everywhere: bool = False) -> Labelled:
    rng = np.random.default_rng(0)
    pixels = picture_corpus.scene(rng, height, width)
    picture = read_image(encode_image(pixels, "jpeg", 60))
    mask = np.zeros((height, width), bool)
    mask[60:80, 90:110] = True
    return Labelled(picture, mask, everywhere)


def off_lattice(crop) -> float:
    """How far luma coefficients lie from multiples of the table's steps, as a share of a step."""
    kernels = dct_kernels()
    coefficients = torch.nn.functional.conv2d(luma(crop.pixels.float()), kernels, stride=8)
    quotient = coefficients / crop.tables.reshape(1, 64, 1, 1)
    return (quotient - quotient.round()).abs()[:, 1:20].mean().item()


@pytest.mark.parametrize("recompress", [0.0, 1.0])
def test_the_table_fits_the_pixels_of_aligned_crops(recompress):
    cropper = Cropper(**{**PLAIN, "recompress": recompress, "flip": 0.5})
    for seed in range(6):
        crop = cropper.crop(labelled(), (11, 37), seed)
        assert crop.tables.min() >= 1
        assert off_lattice(crop) < 0.08  # 0.25 for any other table or phase


def test_shifted_crops_know_no_table():
    cropper = Cropper(**{**PLAIN, "aligned": 0.0})
    crop = cropper.crop(labelled(), (11, 37), 0)
    assert crop.tables.abs().sum() == 0
    whole = labelled().picture.pixels[11:75, 37:101].transpose(2, 0, 1)
    assert np.array_equal(crop.pixels[0].numpy(), whole)


def test_crops_are_placed_on_the_mask():
    cropper, marked = Cropper(**PLAIN), labelled()
    for seed in range(20):
        top, left = cropper.place(marked.mask, np.random.default_rng(seed))
        assert marked.mask[top : top + 64, left : left + 64].any()


def test_what_counts_as_forged():
    cropper = Cropper(**{**PLAIN, "aligned": 0.0})
    on, off, touched = (
        cropper.crop(labelled(), place, 0) for place in ((40, 60), (0, 0), (0, 88 - 64 + 3))
    )
    assert (on.forged.item(), on.judged.item()) == (1, True)
    assert on.share.sum().item() * 16 == pytest.approx(400)
    assert on.weights.sum().item() == pytest.approx(1)
    assert (off.forged.item(), off.judged.item()) == (0, True)
    assert (touched.forged.item(), touched.judged.item()) == (0, False)
    made_anew = cropper.crop(labelled(everywhere=True), (0, 0), 0)
    assert (made_anew.forged.item(), made_anew.judged.item()) == (1, True)


def test_the_border_of_small_pictures_does_not_count():
    small = labelled()
    cut = Labelled(Picture(small.picture.pixels[40:88, 70:110]), small.mask[40:88, 70:110], False)
    crop = Cropper(**PLAIN).crop(cut, (0, 0), 0)
    assert crop.pixels.shape == (1, 3, 64, 64)
    assert crop.counted.sum().item() == 12 * 10
    assert crop.share[..., 12:, :].sum() == 0


def test_masks_follow_pixels_through_conditions_and_flips():
    augment = ImageConditionPolicy(
        probability=1.0, choose=({"use": "rescale", "params": {"factor": [0.9, 1.3]}},)
    )
    cropper = Cropper(**{**PLAIN, "augment": augment, "flip": 0.5})
    marked = labelled()
    pixels = np.where(marked.mask[..., None], np.uint8(255), np.uint8(20)).repeat(3, 2)
    lit = Labelled(Picture(np.ascontiguousarray(pixels)), marked.mask, False)
    for seed in range(8):
        crop = cropper.crop(lit, (40, 60), seed)
        bright = crop.pixels.float().mean(1) > 128
        share = torch.nn.functional.interpolate(crop.share, scale_factor=4)[0] > 0.5
        assert (bright == share).float().mean() > 0.97
        assert crop.tables.min() >= 1  # saved as JPEG after the condition


def test_pairs_come_from_the_same_place_and_channel(tmp_path):

    corpus = picture_corpus.build(tmp_path)
    items = list(shards.open(corpus, "train", shuffle=False))
    real = next(item for item in items if item.meta.label == "bonafide")
    fake = next(item for item in items if item.meta.label == "spoof")
    augment = ImageConditionPolicy(
        probability=1.0, choose=({"use": "light", "params": {"brightness": [0.2, 0.3]}},)
    )
    cropper = Cropper(**{**PLAIN, "augment": augment})
    ours, theirs = cropper.pair(real, fake, np.random.default_rng(3))
    same = torch.nn.functional.interpolate(theirs.share, scale_factor=4)[0, 0] == 0
    apart = (ours.pixels.float() - theirs.pixels.float()).abs().mean(1)[0]
    assert apart[same].mean() < 12 < apart[~same].mean() + 12
    again = cropper.pair(real, fake, np.random.default_rng(3))
    assert torch.equal(again[1].pixels, theirs.pixels)


def test_speech_is_refused(tmp_path):

    item = next(iter(shards.open(picture_corpus.build(tmp_path), "dev")))
    speech = item.meta.model_copy(update={"modality": "speech"})
    with pytest.raises(UsageError, match="is speech"):
        decode(type(item)(item.key, item.extension, item.media, speech))


def test_pixel_f1_at_every_cut():
    mask = np.zeros((32, 32), bool)
    mask[:, :16] = True
    logits = np.where(np.arange(8) < 4, 3.0, -3.0).astype(np.float32)[None].repeat(8, 0)
    f1 = f1_at_cuts(logits, mask)
    assert f1[24] > 0.9  # the cut at 0, but for the seam
    assert f1[0] == pytest.approx(2 * 512 / (1024 + 512))  # all is called forged
    assert f1[-1] == 0


def test_a_simulated_pair_differs_in_its_region_only(tmp_path):
    found = shards.open(picture_corpus.build(tmp_path), "train", shuffle=False)
    pristine = [item for item in found if item.meta.label == "bonafide"]
    cropper = Cropper(**{**PLAIN, "simulated": 1.0})
    differing = 0
    for seed in range(6):
        drawn = np.random.default_rng(seed)
        untouched, forged = cropper.simulated_pair(pristine[0], pristine[1], drawn)
        assert untouched.forged.tolist() == [0.0] and untouched.share.sum() == 0
        assert untouched.tables.abs().sum() == forged.tables.abs().sum() == 0
        outside = forged.share[0, 0].repeat_interleave(4, 0).repeat_interleave(4, 1) == 0
        differs = (untouched.pixels != forged.pixels).any(1)[0]
        assert not differs[outside].any()
        differing += int(differs.any())
    assert differing >= 5
