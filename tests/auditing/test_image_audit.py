"""Image corpora in which exactly one thing leaks, and masks that lie where one would guess."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest
from helpers import image_shards

from forensics.auditing.features import ItemFacts
from forensics.auditing.html import as_html
from forensics.auditing.image_features import IMAGE, image_features, nearest_quality
from forensics.auditing.judge import EVERYTHING, JUDGED
from forensics.auditing.mask_prior import SIDE, centre_guess, occupancy, pixel_auc
from forensics.auditing.report import AuditReport, as_text
from forensics.auditing.run import audit
from forensics.errors import MediaError, UsageError
from forensics.media.image import encode_image, mask_png
from forensics.media.image_facts import ijg_tables

FACTS = ItemFacts("a", "jpg", None, {})


def failed(report: AuditReport) -> set[str]:
    alone = {f.family for f in report.families if f.status == "fail"}
    return alone - {JUDGED, EVERYTHING}


def family(report: AuditReport, name: str):
    return next(f for f in report.families if f.family == name)


def corpus(**options):
    """20 scenes, 40 pictures of each label, all forgeries of one system."""
    items = image_shards.items(**{"scenes": 20, "each": 2, "paint": noise, **options})
    one = {"bonafide": "bonafide", "spoof": "copymove"}
    return [
        replace(item, meta=item.meta.model_copy(update={"system": one[item.meta.label]}))
        for item in items
    ]


def small(**options):
    """Too few to train a classifier on, so that an audit of it takes no time."""
    return corpus(scenes=4, **options)


def noise(pixels, box, rng):
    """An edit that changes pixels and no statistic."""
    left, top, right, bottom = box
    changed = pixels.copy()
    changed[top:bottom, left:right] = changed[top:bottom, left:right][::-1]
    return changed


def test_an_honest_corpus_passes():
    report = audit(corpus(each=4))
    assert failed(report) == set() and report.modality == "image"
    assert report.status != "fail", as_text(report)
    assert family(report, "mask_mean").status == family(report, "mask_centre").status == "pass"
    masks = next(c for c in report.checks if c.name == "masks")
    assert (masks.status, masks.message) == ("pass", "80 fit their pictures")


LEAKS = {
    "jpeg": lambda pixels, forged, rng: (
        encode_image(pixels, "jpeg", int(rng.integers(*((88, 95) if forged else (70, 80))))),
        "jpg",
    ),
    "size": lambda pixels, forged, rng: (
        encode_image(pixels[: 60 if forged else 64], "jpeg", int(rng.integers(60, 96))),
        "jpg",
    ),
    "container": lambda pixels, forged, rng: (
        (encode_image(pixels, "png"), "png")
        if forged
        else (encode_image(pixels, "jpeg", int(rng.integers(60, 96))), "jpg")
    ),
}


@pytest.mark.parametrize("name", LEAKS)
def test_one_leak_is_named(name):
    items = [replace(item, mask=None) for item in corpus(encode=LEAKS[name])]
    report = audit(items)
    assert name in failed(report), as_text(report)
    # A quality or a format changes the rate too, and a PNG has no tables.
    assert failed(report) <= {name, "rate", "jpeg" if name == "container" else name}
    leak = family(report, name)
    assert leak.auc is not None and leak.auc > 0.95 and report.exit_code == 4
    assert leak.remedy in as_text(report)


def test_subsampling_alone_is_a_leak():
    def encode(pixels, forged, rng):
        return encode_image(pixels, "jpeg", 85, "4:2:0" if forged else "4:4:4"), "jpg"

    leak = family(audit(corpus(encode=encode)), "jpeg")
    assert leak.status == "fail" and leak.evidence is not None
    assert leak.evidence.feature == "jpeg.subsampling"


def test_masks_in_the_centre_are_a_prior_that_is_told():
    report = audit(corpus(where=lambda rng: (36, 24)))
    for name in ("mask_centre", "mask_mean"):
        leak = family(report, name)
        assert leak.status == "fail" and leak.auc is not None and leak.auc > 0.95
    assert {"mask_centre", "mask_mean"} <= set(report.failed) and report.exit_code == 4
    text = as_text(report)
    assert "mask_centre: distance of pixels to the centre is 0." in text
    assert "mask_centre" in as_html(report)
    relaxed = audit(small(where=lambda rng: (36, 24)), limits={"mask_centre": None})
    assert family(relaxed, "mask_centre").status == "reported"


def test_masks_of_faces_are_reported_unless_a_limit_is_asked_for():
    """All others, of a corpus that says nothing of people, are judged."""
    told = {"claimed": "p0"}
    faces = [
        replace(item, meta=item.meta.model_copy(update={"params": item.meta.params | told}))
        for item in small(where=lambda rng: (36, 24))
    ]
    report = audit(faces)
    assert family(report, "mask_centre").status == "reported"
    assert family(report, "jpeg").limit == 0.6
    assert any("masks lie on faces" in note for note in report.notes)
    strict = audit(faces, limits={"mask_centre": 0.7})
    assert family(strict, "mask_centre").limit == 0.7
    assert family(audit(faces[1:] + small()[:1]), "mask_centre").limit == 0.7


def test_masks_in_one_corner_are_found_by_the_mean_mask_alone():
    report = audit(corpus(where=lambda rng: (rng.integers(0, 8), rng.integers(0, 6))))
    centre, mean = family(report, "mask_centre"), family(report, "mask_mean")
    assert centre.auc is not None and centre.auc < 0.4 and centre.status == "pass"
    assert mean.auc is not None and mean.auc > 0.9 and mean.status == "fail"


def test_masks_of_one_group_do_not_tell_of_themselves():
    """Each scene has a place of its own: that is no prior for other scenes."""
    rng = np.random.default_rng(0)
    places = {scene: (int(rng.integers(0, 72)), int(rng.integers(0, 48))) for scene in range(24)}
    count = iter(range(24 * 3))
    items = corpus(scenes=24, each=3, where=lambda _: places[next(count) // 3])
    assert family(audit(items), "mask_mean").auc == pytest.approx(0.5, abs=0.12)


def test_masks_that_cannot_be_are_named():
    items = small()
    forged = next(i for i, item in enumerate(items) if item.mask)
    honest = next(i for i, item in enumerate(items) if not item.mask)
    mask = np.zeros((64, 96), bool)
    mask[:8] = True
    cases = {
        forged: [mask_png(mask[:32]), mask_png(np.zeros_like(mask)), b"junk"],
        honest: [mask_png(mask)],
    }
    for place, masks in cases.items():
        for wrong in masks:
            changed = [*items]
            changed[place] = replace(items[place], mask=wrong)
            report = audit(changed)
            check = next(c for c in report.checks if c.name == "masks")
            assert check.status == "fail" and items[place].key in check.details[0]


def test_few_masks_are_inconclusive():
    leak = family(audit(small()), "mask_centre")
    assert leak.status == "inconclusive" and "masks, at least 20" in (leak.reason or "")
    bare = audit([replace(item, mask=None) for item in small()])
    assert not any(f.family.startswith("mask") for f in bare.families)


def test_shards_and_a_list_of_loose_files_say_the_same(tmp_path):
    items = corpus(scenes=12, paint=noise)
    folder = image_shards.corpus(tmp_path / "corpus", items)
    shards = audit(folder)
    rows = []
    for item in items:
        (tmp_path / f"{item.key}.jpg").write_bytes(item.media)
        row = {"path": f"{item.key}.jpg", "label": item.meta.label, "group": item.meta.group}
        if item.mask:
            (tmp_path / f"{item.key}.mask.png").write_bytes(item.mask)
            row["mask"] = f"{item.key}.mask.png"
        rows.append(row | {"source_id": item.meta.source_id, "system": item.meta.system})
    with (tmp_path / "list.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, ["path", "label", "group", "source_id", "system", "mask"])
        writer.writeheader()
        writer.writerows(rows)
    listed = audit(tmp_path / "list.csv")
    for name in ("jpeg", "size", "mask_centre", "mask_mean"):
        assert family(listed, name).auc == family(shards, name).auc
    (tmp_path / "mixed.csv").write_text("path,label\na.jpg,real\nb.wav,fake\n")
    with pytest.raises(UsageError, match="pictures and other files"):
        audit(tmp_path / "mixed.csv")


def test_a_picture_that_cannot_be_read_is_left_out_and_told():
    items = small()
    items[3] = replace(items[3], media=items[3].media[:100])
    report = audit(items)
    assert report.measured == len(items) - 1
    assert next(c for c in report.checks if c.name == "unreadable").status in ("warn", "fail")


def test_features_of_a_picture():
    pixels = image_shards.frame(1, 1, 64, 96)
    media = encode_image(pixels, "jpeg", 83, "4:2:2")
    row = image_features(media, FACTS)
    assert row["jpeg.quality"] == 83.0 and row["jpeg.subsampling"] == "4:2:2"
    assert (row["size.width"], row["size.height"]) == (96.0, 64.0)
    assert row["rate.bits_per_pixel"] == pytest.approx(8 * len(media) / (64 * 96), abs=1e-3)
    assert row["light.mean"] == pytest.approx(pixels.mean(), abs=1)
    assert not [
        name for name in image_features(encode_image(pixels, "png"), FACTS) if "jpeg" in name
    ]
    families = {name.split(".")[0] for name in row}
    assert families == {f.name for f in IMAGE.families}
    with pytest.raises(MediaError):
        image_features(b"no picture", FACTS)


@pytest.mark.parametrize("quality", [5, 40, 75, 98])
def test_the_nearest_quality_survives_tables_of_another_make(quality):
    table = ijg_tables(quality)[0]
    assert nearest_quality(table) == quality
    rng = np.random.default_rng(quality)
    other = np.maximum(1, np.round(table * rng.uniform(0.93, 1.07, (8, 8))))
    assert abs(nearest_quality(other) - quality) <= 3


def test_the_grid_and_its_phase_are_seen():
    flat = np.repeat(np.repeat(np.arange(12)[None, :] * 20 % 200, 8, axis=1), 64, axis=0)
    pixels = np.repeat(flat.astype(np.uint8)[..., None], 3, axis=2)
    row = image_features(encode_image(pixels[:, 3:], "png"), FACTS)
    assert row["blocks.phase"] == 5.0 and float(row["blocks.strength"]) > 10


def test_pixel_auc_is_that_of_single_pixels():
    rng = np.random.default_rng(0)
    guess = rng.integers(0, 5, SIDE * SIDE).astype(float)
    mask = rng.random(SIDE * SIDE) < 0.2
    pairs = guess[mask][:, None] - guess[~mask][None, :]
    slow = ((pairs > 0) + 0.5 * (pairs == 0)).mean()
    assert pixel_auc(guess, mask[None].astype(float))[0] == pytest.approx(slow, abs=1e-6)
    assert pixel_auc(centre_guess(), np.full((1, SIDE * SIDE), 0.3))[0] == pytest.approx(
        0.5, abs=1e-6
    )


def test_occupancy_is_the_share_of_each_cell():
    mask = np.zeros((64, 96), bool)
    mask[:2, :3] = mask[2:4, 3] = True
    found = occupancy(mask).reshape(SIDE, SIDE)
    assert found[0, 0] == 255 and found[1, 1] == pytest.approx(255 / 3, abs=1)
    assert (found > 0).sum() == 2


def test_the_same_audit_twice_gives_the_same_numbers():
    items = corpus(scenes=10, paint=noise)
    first, second = (audit(items).model_dump(exclude={"seconds"}) for _ in range(2))
    assert first == second
    assert len({hashlib.sha256(item.media).hexdigest() for item in items}) == len(items)
