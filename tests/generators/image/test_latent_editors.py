"""Editors through a latent autoencoder: TAEF2 with its published weights, and tiny ones."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers import tiny_autoencoders
from PIL import Image
from typer.testing import CliRunner

from forensics.cli import app
from forensics.errors import CorpusError, ForensicsError, MediaError, MissingRequirement, UsageError
from forensics.generators.image import autoencoder
from forensics.generators.image.autoencoder import load_autoencoder
from forensics.generators.image.base import EDITORS, EditRequest
from forensics.generators.image.latent_changes import cells_of, filled, noised, quantised
from forensics.generators.speech.neural import seeded
from forensics.networks.taef2 import CONFIG, WEIGHTS, decoder, encoder, load_taef2
from forensics.scenes.edit_plan import EditPlan
from forensics.scenes.regions import box_of

# Frame → PSNR in dB of its round trip through the published weights.
SMALL = {
    "images/fds_043/f113_002.jpg": 34.02,
    "images/fds_069/n088_002.jpg": 31.82,
    "images/hwy_video1/hwy_video1_00000.jpg": 29.21,
}
LARGE = {  # in the range that others measured on frames of 240 to 720 lines: 34.7 to 41.1 dB
    "images/aboda_v4/aboda_v4_00000.jpg": 36.18,
    "images/intel_cars": 37.86,
    "images/plaza_overhead": 36.51,
}


@pytest.fixture(scope="module")
def published(shared_data, tmp_path_factory):
    """TAEF2 as imported from its published checkpoints."""
    out = tmp_path_factory.mktemp("taef2") / "w"
    source = str(shared_data("weights") / "taef2")
    done = CliRunner().invoke(app, ["import-weights", "taef2", source, "--out", str(out), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert told["licence"] == "MIT" and told["keys_matched"] == 158
    return out


@pytest.fixture(scope="module")
def random_taef2(tmp_path_factory):
    return tiny_autoencoders.taef2(tmp_path_factory.mktemp("random") / "w")


@pytest.fixture(autouse=True)
def _one_thread():
    with seeded(0, "cpu", 1):
        yield


def request(edit: str = "open-ended-replacement", size=(96, 128), seed: int = 3) -> EditRequest:
    rng = np.random.default_rng(0)
    coarse = rng.uniform(30, 220, (size[0] // 8, size[1] // 8, 3)).astype(np.float32)
    picture = np.array(
        Image.fromarray(coarse.astype(np.uint8)).resize(
            (size[1], size[0]), Image.Resampling.BICUBIC
        )
    )
    mask = np.zeros(size, bool)
    mask[40:70, 50:81] = True
    plan = EditPlan(
        edit=edit,
        target="thing",
        replacement="" if edit == "removal" else "thing",
        instruction="x",
        box=box_of(mask),
        planner="test",
    )
    return EditRequest("k", seed, picture, mask, plan)


def psnr(one: np.ndarray, two: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((one.astype(float) - two) ** 2)))


def test_taef2_has_the_published_size():
    counts = [sum(p.numel() for p in part().parameters()) for part in (encoder, decoder)]
    assert counts == [1_338_528, 1_338_499]


@pytest.mark.parametrize(
    "wanted", [SMALL, pytest.param(LARGE, marks=pytest.mark.slow)], ids=["small", "large"]
)
def test_round_trips_of_real_frames(wanted, published, shared_data):
    frames = shared_data("frames")
    with (frames / "manifest.csv").open() as file:
        paths = [row["path"] for row in csv.DictReader(file)]
    network = load_autoencoder(published, "cpu")
    for start, level in wanted.items():
        first = next(path for path in paths if path.startswith(start))
        pixels = np.array(Image.open(frames / first).convert("RGB"))
        again = network.pixels(network.latents(pixels), pixels.shape[:2])
        assert psnr(pixels, again) == pytest.approx(level, abs=0.1), first


def test_tiles_give_nearly_what_the_whole_gives(published, monkeypatch):
    network = load_autoencoder(published, "cpu")
    pixels = request(size=(640, 96)).pixels
    whole = network.pixels(network.latents(pixels), pixels.shape[:2])
    monkeypatch.setattr(autoencoder, "_WHOLE", 1)
    tiled = network.pixels(network.latents(pixels), pixels.shape[:2])
    assert tiled.shape == whole.shape and not np.array_equal(tiled, whole)
    assert psnr(tiled, whole) > 30  # a gate sees the tile, not the whole picture


@pytest.mark.parametrize("build", ["tiny", "kl"])
def test_diffusers_autoencoders_do_too(build, tmp_path):
    folder = getattr(tiny_autoencoders, build)(tmp_path / "w")
    editor = EDITORS.get("latent")(weights=folder, change="quantise")
    assert not editor.check()
    editor.load()
    result = editor.edit(request(size=(93, 121)))
    assert result.details["autoencoder"].startswith("Autoencoder")
    assert result.pixels.shape == (93, 121, 3)


def test_pickled_and_foreign_folders_are_refused(tmp_path):
    for config, what in (({"_class_name": "UNet2DModel"}, "UNet2DModel"), ({}, "no autoencoder")):
        (tmp_path / "config.json").write_text(json.dumps(config))
        (missing,) = EDITORS.get("latent")(weights=str(tmp_path)).check()
        assert what in missing.what
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL"}))
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(MissingRequirement, match="pickled weights are not read"):
        load_autoencoder(tmp_path, "cpu")


def test_weights_that_were_changed_are_refused(tmp_path):
    folder = tmp_path / "w"
    tiny_autoencoders.taef2(folder)
    path = folder / WEIGHTS["decoder"]
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CorpusError, match="does not match"):
        load_taef2(folder)
    (folder / CONFIG).write_text('{"autoencoder": 3}')
    with pytest.raises(UsageError):
        load_taef2(folder)


def test_import_refuses_what_is_not_taef2(tmp_path):
    from forensics.detectors.importing_taef2 import import_taef2

    with pytest.raises(MediaError, match=r"taef2_encoder\.pth"):
        import_taef2(tmp_path, tmp_path / "out")
    torch.save({"0.weight": torch.zeros(3)}, tmp_path / "taef2_encoder.pth")
    with pytest.raises(UsageError, match="no encoder of TAEF2"):
        import_taef2(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("change", ["noise", "blur", "quantise", "swap", "fill"])
def test_a_change_is_more_than_a_round_trip(change, published):
    asked = request("removal" if change == "fill" else "open-ended-replacement")
    editor = EDITORS.get("latent")(weights=str(published), change=change, mode="regenerated")
    editor.load()
    result = editor.edit(asked)
    network = editor.autoencoder
    again = network.pixels(network.latents(asked.pixels), asked.pixels.shape[:2])
    off = np.abs(result.pixels.astype(int) - again).mean(axis=2)
    far = np.ones(asked.mask.shape, bool)
    far[20:90, 30:101] = False
    assert off[asked.mask].mean() > 2 + 3 * off[far].mean()
    assert result.mode == "regenerated" and np.array_equal(result.mask, asked.mask)


def test_composite_and_regenerated_make_the_same_content(published):
    made = {}
    asked = request(size=(128, 208))  # larger than the window around the mask
    for mode in ("composite", "regenerated"):
        editor = EDITORS.get("latent")(
            weights=str(published), change="swap", mode=mode, feather=(0, 0)
        )
        editor.load()
        made[mode] = editor.edit(asked)
    assert made["composite"].details["source"] == made["regenerated"].details["source"]
    inner = np.s_[46:64, 56:75]
    assert psnr(*(result.pixels[inner] for result in made.values())) > 30
    left, top, right, bottom = made["composite"].details["source"]
    assert (right - left, bottom - top) == (31, 30)
    copied = made["composite"].pixels[40:70, 50:81]
    assert psnr(copied, asked.pixels[top:bottom, left:right]) > psnr(
        copied, asked.pixels[40:70, 50:81]
    )


def test_a_chain_regenerates_the_inner_edit(random_taef2):
    link = {"use": "opencv-inpaint", "params": {"method": "telea"}}
    editor = EDITORS.get("regenerate")(weights=random_taef2, editor=link)
    assert editor.edits == ("removal",) and not editor.needs_camera
    editor.load()
    asked = request("removal")
    inner = EDITORS.get("opencv-inpaint")(method="telea").edit(asked)
    result = editor.edit(asked)
    assert np.array_equal(result.mask, inner.mask) and result.mode == "regenerated"
    assert result.details["inner"] == inner.details
    assert (result.pixels != asked.pixels).any(axis=2)[~result.mask].mean() > 0.5
    with pytest.raises(ForensicsError, match="addition"):
        editor.edit(request("addition"))


def test_a_chain_asks_for_what_its_editor_needs(random_taef2):
    link = {"use": "plate-removal"}
    editor = EDITORS.get("regenerate")(weights=random_taef2, editor=link)
    assert editor.needs_camera and editor.least_frames == 3
    nested = EDITORS.get("regenerate")(editor={"use": "latent"})
    assert len(nested.check()) == 2
    assert "regenerate" in nested.fingerprint() or nested.version in nested.fingerprint()
    with pytest.raises(UsageError, match="inside of itself"):
        EDITORS.get("regenerate")(editor={"use": "regenerate"})
    with pytest.raises(UsageError, match="no editor"):
        EDITORS.get("regenerate")(editor={"use": "nonsense"})


def test_fingerprints_follow_the_weights(random_taef2, tmp_path):
    other = tiny_autoencoders.tiny(tmp_path / "w")
    latent = EDITORS.get("latent")
    assert latent(weights=random_taef2).fingerprint() != latent(weights=other).fingerprint()


def test_cells_are_those_that_a_mask_covers():
    mask = np.zeros((20, 33), bool)
    mask[8:16, 8:20] = True
    cells = cells_of(mask, 8)
    assert cells.shape == (3, 5) and np.argwhere(cells).tolist() == [[1, 1], [1, 2]]
    mask[:] = False
    mask[17, 32] = True
    assert np.argwhere(cells_of(mask, 8)).tolist() == [[2, 4]]


def test_changes_of_latents_leave_the_rest():
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:12, :16]
    latents = np.stack([x / 4.0, y / 5.0], axis=2).astype(np.float32)
    cells = np.zeros((12, 16), bool)
    cells[4:8, 5:10] = True
    for made in (noised(latents, cells, 0.8, rng), quantised(latents, cells, 1.0)):
        assert np.array_equal(made[~cells], latents[~cells])
        assert (made[cells] != latents[cells]).any()
    broken = np.where(cells[..., None], 9, latents).astype(np.float32)
    assert np.abs(filled(broken, cells, 0.0, rng) - latents).max() < 1e-4


def test_a_request_keeps_its_latents_where_nothing_was_asked(random_taef2):
    editor = EDITORS.get("latent")(weights=random_taef2, change="fill")
    editor.load()
    asked = request("removal")
    first, second = editor.edit(asked), editor.edit(replace(asked, seed=9))
    outside = ~(first.mask | second.mask)
    assert np.array_equal(first.pixels[outside], asked.pixels[outside])
    assert not np.array_equal(first.pixels, second.pixels)
