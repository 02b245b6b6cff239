"""Inpainter training: the shipped config runs, a kill changes nothing, held-out scenes stay out."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
import yaml
from helpers import tiny_inpainter
from pydantic import ValidationError

from forensics import resources
from forensics.corpus.images.recipe import Frames
from forensics.errors import UsageError
from forensics.media.image import encode_image, read_image
from forensics.networks.inpainter import (
    Inpainter,
    InpainterNetworkConfig,
    inpainted,
    load_inpainter,
    smooth_fill,
)
from forensics.training import checkpoint
from forensics.training.inpainter.config import HoleConfig, InpainterConfig
from forensics.training.inpainter.crops import HoledCrops, is_held_out, read_frames
from forensics.training.inpainter.fit import InpainterStepper
from forensics.training.inpainter.holes import drawn_hole
from forensics.training.inpainter.train import CHECKPOINT, PICTURE, train
from forensics.training.run import run

TINY_NETWORK = {"side": 16, "channels": [8, 16], "timesteps": 20}
TINY = {
    "network": TINY_NETWORK,
    "fit": {"steps": 4, "batch": 2, "warmup": 1},
    "checkpoint_every": 2,
    "sampling_steps": 2,
}
SCENES = [f"scene{i}" for i in range(8)]


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    root = tmp_path_factory.mktemp("frames")
    for number, scene in enumerate(SCENES):
        (root / scene).mkdir()
        rng = np.random.default_rng(number)
        coarse = rng.integers(0, 255, (5, 6, 3)).astype(np.uint8)
        pixels = np.kron(coarse, np.ones((12, 12, 1), np.uint8))
        (root / scene / "a.png").write_bytes(encode_image(pixels, "png"))
    return root


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def tiny(**changes) -> InpainterConfig:
    return InpainterConfig.model_validate({**TINY, **changes})


def test_the_shipped_config_trains(frames, tmp_path):
    settings = yaml.safe_load(resources.find("configs", "inpainter").read_text())
    InpainterConfig.model_validate(settings)
    changes = [
        "network.side=16",
        "network.channels=[8,16,24]",
        "fit.steps=2",
        "fit.batch=2",
        "sampling_steps=2",
    ]
    card = run("inpainter", tmp_path / "run", source=str(frames), changes=changes, device="cpu")
    network, loaded = load_inpainter(tmp_path / "run" / "inpainter")
    assert loaded == card and network.config.side == 16
    assert "sha256(name) % 10 < 7" in loaded.trained_on
    assert loaded.quality is not None and loaded.quality.crops == 64
    assert "Telea" in str(card)
    (line,) = map(json.loads, (tmp_path / "run" / "log.jsonl").read_text().splitlines())
    assert line["step"] == 2 and line["held_out_loss"] > 0
    assert read_image(tmp_path / "run" / PICTURE).pixels.shape == (48, 96, 3)


def test_a_run_that_was_cut_off_ends_as_one_that_was_not(frames, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    train(tiny(), str(frames), whole)
    stepper = InpainterStepper(tiny(), torch.device("cpu"))
    crops = HoledCrops(*_seen(frames), tiny(), Frames(min_side=16))
    for number in (1, 2):
        stepper.step(lambda n=number: crops.batch(n, 2), number)
    broken.mkdir()  # as a kill after the first checkpoint leaves it
    checkpoint.save(broken / CHECKPOINT, {"step": 2, **stepper.state()})
    train(tiny(), str(frames), broken)
    weights = [(one / "inpainter" / "model.safetensors").read_bytes() for one in (whole, broken)]
    assert weights[0] == weights[1]
    steps = [json.loads(line)["step"] for line in (broken / "log.jsonl").read_text().splitlines()]
    assert steps == [4]


def _seen(frames):
    found, seen, _ = read_frames(str(frames), None, tiny(), Frames(min_side=16))
    return found, seen


def test_another_config_in_the_same_folder_is_refused(frames, tmp_path):
    train(tiny(), str(frames), tmp_path)
    with pytest.raises(UsageError, match="another config"):
        train(tiny(seed=5), str(frames), tmp_path)


def test_held_out_scenes_are_those_of_their_names(frames):
    digits = {s: int(hashlib.sha256(s.encode()).hexdigest(), 16) % 10 for s in SCENES}
    assert {s for s in SCENES if is_held_out(s, 3)} == {s for s, d in digits.items() if d >= 7}
    assert not any(is_held_out(scene, 0) for scene in SCENES)
    _, seen, held = read_frames(str(frames), None, tiny(), Frames(min_side=16))
    assert {one.camera for one in held} == {s for s in SCENES if is_held_out(s, 3)}
    assert held and seen and len(held) + len(seen) == len(SCENES)


def test_nothing_to_train_on_says_so(frames, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError):
        train(tiny(), str(tmp_path / "empty"), tmp_path / "run")
    held = next(scene for scene in SCENES if is_held_out(scene, 3))
    with pytest.raises(UsageError, match="held-out scenes"):
        train(tiny(), str(frames / held), tmp_path / "run")
    with pytest.raises(UsageError, match="on frames"):
        run("inpainter", tmp_path / "run", shards="x")


def test_a_batch_depends_on_its_step_alone(frames):
    found, seen = _seen(frames)
    first, second = (HoledCrops(found, seen, tiny(), Frames(min_side=16)) for _ in range(2))
    second.batch(9, 2)
    one, other = first.batch(3, 2), second.batch(3, 2)
    assert torch.equal(one.pictures, other.pictures) and torch.equal(one.masks, other.masks)
    assert not torch.equal(one.pictures, first.batch(4, 2).pictures)
    assert one.pictures.shape == (2, 3, 16, 16) and float(one.pictures.abs().max()) <= 1


def test_holes_have_about_the_wanted_area():
    rng = np.random.default_rng(0)
    for strokes in (0, 1):
        config = HoleConfig(area=(0.2, 0.3), strokes=strokes)
        areas = [drawn_hole(48, config, rng).mean() for _ in range(60)]
        assert 0.17 < np.median(areas) < 0.33
        assert min(areas) > 0 and max(areas) < 0.7


def test_the_loss_falls_on_one_picture(frames):
    config = tiny(fit={"steps": 60, "batch": 4, "warmup": 5, "learning_rate": 3e-3, "ema": 0.9})
    stepper = InpainterStepper(config, torch.device("cpu"))
    found, seen = _seen(frames)
    batch = HoledCrops(found, seen[:1], config, Frames(min_side=16)).batch(1, 4)
    before = stepper.look(batch)
    for number in range(1, 61):
        stepper.step(lambda: batch, number)
    assert stepper.look(batch) < 0.8 * before
    assert stepper.look(batch) == stepper.look(batch)


def test_sampling_is_of_one_piece_with_what_is_known():
    network = tiny_inpainter.network()
    picture = torch.rand(1, 3, 16, 24) * 2 - 1
    mask = torch.zeros(1, 1, 16, 24)
    mask[..., 4:12, 6:18] = 1
    made = [
        inpainted(network, picture, mask, 4, torch.Generator().manual_seed(seed))
        for seed in (1, 1, 2)
    ]
    assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
    assert made[0].shape == picture.shape and float(made[0].abs().max()) <= 1
    # What is in the hole of the given picture must not matter.
    other = picture.clone()
    other[..., 4:12, 6:18] = 0.3
    again = inpainted(network, other, mask, 4, torch.Generator().manual_seed(1))
    assert torch.equal(again, made[0])


@pytest.mark.parametrize(("strength", "calls"), [(1.0, 10), (0.2, 2), (0.01, 1)])
def test_strength_is_the_share_of_steps_that_are_taken(strength, calls):
    network = tiny_inpainter.network()
    taken = []
    network.register_forward_hook(lambda *_: taken.append(1))
    picture, mask = torch.zeros(1, 3, 16, 16), torch.ones(1, 1, 16, 16)
    inpainted(network, picture, mask, 10, torch.Generator().manual_seed(1), strength)
    assert len(taken) == calls


def test_an_untrained_network_fills_smoothly():
    config = InpainterNetworkConfig(side=16, channels=(8, 16), timesteps=20)
    level = torch.linspace(-0.5, 0.5, 24).expand(1, 3, 16, 24).contiguous()
    mask = torch.zeros(1, 1, 16, 24)
    mask[..., 4:12, 9:14] = 1
    generator = torch.Generator().manual_seed(0)
    made = inpainted(Inpainter(config).eval(), level, mask, 3, generator)
    assert float((made - level).abs().max()) < 0.15
    assert torch.equal(smooth_fill(level, mask)[..., 0, :], level[..., 0, :])
    everything = smooth_fill(level, torch.ones_like(mask))
    assert torch.equal(everything, torch.zeros_like(level))


@pytest.mark.parametrize(
    "wrong", [{"side": 30, "channels": (8, 16, 24)}, {"channels": (12, 16)}, {"channels": (8,)}]
)
def test_sizes_that_cannot_work_are_refused(wrong):
    with pytest.raises(ValidationError):
        InpainterNetworkConfig(**wrong)
