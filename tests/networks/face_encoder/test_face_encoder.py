from __future__ import annotations

import argparse
import json
import math
from functools import partial

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from forensics.cli import app
from forensics.detectors.importing_fsfm import import_fsfm
from forensics.errors import CorpusError, MissingRequirement, UsageError
from forensics.networks.face_encoder.encoder import FaceEncoder, FaceEncoderConfig, positions
from forensics.networks.face_encoder.folder import WEIGHTS, load_encoder, save_encoder
from forensics.networks.face_encoder.pretraining import (
    FacePretrainer,
    PretrainingConfig,
    patches,
    pixel_costs,
)

TINY = FaceEncoderConfig(side=32, patch=8, width=16, depth=2, heads=2)
SMALL = PretrainingConfig(
    decoder_width=16, decoder_depth=1, decoder_heads=2, view_depth=1, projected=8, hidden=16
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    torch.set_num_threads(1)


def masks() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    hidden = torch.stack([torch.randperm(16) < 12 for _ in range(2)])
    return hidden, hidden & (torch.rand(2, 16) < 0.3)


def test_positions_are_sines_of_column_then_row():
    table = positions(8, 3)[0]
    assert table.shape == (10, 8) and not table[0].any()
    column, row = 2, 1
    expected = [
        f(x * rate) for x in (column, row) for f in (math.sin, math.cos) for rate in (1, 0.01)
    ]
    torch.testing.assert_close(table[1 + row * 3 + column], torch.tensor(expected))


def test_what_is_not_kept_is_not_seen():
    torch.manual_seed(0)
    encoder = FaceEncoder(TINY).eval()
    pixels = torch.rand(1, 3, 32, 32) * 255
    kept = torch.tensor([[0, 5, 10, 15]])
    changed = pixels.clone()
    changed[:, :, :8, 8:16] = 0  # patch 1
    with torch.inference_mode():
        same = encoder(pixels, kept), encoder(changed, kept)
        torch.testing.assert_close(*same)
        assert not torch.allclose(encoder(pixels), encoder(changed))
        everything = encoder(pixels, torch.arange(16)[None])
        torch.testing.assert_close(everything, encoder(pixels))


def test_published_names_and_timms_own_vit_agree():
    """timm's ViT with the same tensors gives the same tokens: names and order of work are MAE's."""
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(0)
    ours = FaceEncoder(TINY).eval()
    theirs = VisionTransformer(
        img_size=32, patch_size=8, embed_dim=16, depth=2, num_heads=2, num_classes=0,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
    ).eval()  # fmt: skip
    theirs.load_state_dict(ours.state_dict(), strict=True)
    pixels = torch.rand(2, 3, 32, 32) * 255
    with torch.inference_mode():
        expected = theirs.forward_features(ours.normalised(pixels))
        torch.testing.assert_close(ours(pixels), expected, atol=1e-5, rtol=1e-5)


def test_patches_are_rows_of_colours():
    pixels = torch.arange(2 * 3 * 4 * 4, dtype=torch.float32).view(2, 3, 4, 4)
    found = patches(pixels, 2)
    assert found.shape == (2, 4, 12)
    second = pixels[1, :, 0:2, 2:4]  # patch 1 of picture 1
    torch.testing.assert_close(found[1, 1], second.permute(1, 2, 0).flatten())


def test_costs_worked_by_hand():
    wanted = torch.tensor([[[1.0, 3.0], [0.0, 4.0], [5.0, 9.0]]])
    # normalised: less the mean, over the square root of the unbiased variance (2, 8, 8)
    normal = torch.tensor([[[-1.0, 1.0], [-2.0, 2.0], [-2.0, 2.0]]])
    normal = normal / torch.tensor([2.0, 8.0, 8.0]).sqrt().view(1, 3, 1)
    drawn = normal + torch.tensor([[[1.0, 1.0], [0.0, 2.0], [3.0, 3.0]]])  # errors 1, 2, 9
    hidden, covered = torch.tensor([[True, True, False]]), torch.tensor([[False, True, False]])
    every, whole = pixel_costs(drawn, wanted, hidden, covered)
    torch.testing.assert_close(every, torch.tensor(1.5), atol=1e-4, rtol=0)
    torch.testing.assert_close(whole, torch.tensor(2.0), atol=1e-4, rtol=0)


def test_the_total_weighs_the_costs_as_published():
    torch.manual_seed(0)
    network = FacePretrainer(FaceEncoder(TINY), SMALL)
    costs = network(torch.rand(2, 3, 32, 32) * 255, *masks())
    expected = costs.pixels + 0.007 * costs.covered + 0.1 * costs.instance
    torch.testing.assert_close(costs.total, expected)
    assert -1 <= costs.instance.item() <= 1


def test_gradients_reach_the_online_network_alone_and_the_target_follows():
    torch.manual_seed(0)
    network = FacePretrainer(FaceEncoder(TINY), SMALL)
    network(torch.rand(2, 3, 32, 32) * 255, *masks()).total.backward()
    assert all(p.grad is None for p in network.target.parameters())
    moved = [p for p in network.view.parameters() if p.requires_grad]
    assert all(p.grad is not None for p in moved)
    before = network.target.projector[0].weight.clone()
    with torch.no_grad():
        network.view.projector[0].weight += 1
    network.follow(0.0)
    torch.testing.assert_close(network.target.projector[0].weight, before + 0.004)
    network.follow(1.0)  # in the end it stays where it is
    torch.testing.assert_close(network.target.projector[0].weight, before + 0.004)


def test_hidden_patches_have_no_part_in_what_is_drawn():
    torch.manual_seed(0)
    network = FacePretrainer(FaceEncoder(TINY), SMALL).eval()
    pixels = torch.rand(2, 3, 32, 32) * 255
    hidden, _ = masks()
    kept = torch.nonzero(~hidden)[:, 1].view(2, -1)
    other = pixels.clone()
    for place in torch.nonzero(hidden[0])[:, 0].tolist():
        row, column = divmod(place, 4)
        other[0, :, row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = 17
    with torch.inference_mode():
        drawn = [network.decoder(network.encoder(one, kept), kept) for one in (pixels, other)]
    torch.testing.assert_close(*drawn)


def checkpoint(tmp_path, **more) -> tuple[FaceEncoder, object]:
    """A file of the structure that FSFM's trainer saves, and what of it is the encoder."""
    torch.manual_seed(3)
    encoder = FaceEncoder(FaceEncoderConfig(side=32, patch=8, width=384, depth=1, heads=12))
    model = dict(encoder.state_dict())
    for name, shape in {
        "mask_token": (1, 1, 384), "rep_decoder_embed.weight": (384, 384),
        "rep_decoder_blocks.0.norm1.weight": (384,), "decoder_blocks.0.attn.qkv.weight": (96, 32),
        "decoder_norm.weight": (32,), "projector.projection_head.0.weight": (8, 384),
        "predictor.projection_head.0.weight": (8, 8),
    }.items():  # fmt: skip
        model[name] = torch.zeros(shape)
    path = tmp_path / "checkpoint-400.pth"
    torch.save({"model": model, "epoch": 400, "args": argparse.Namespace(lr=1e-3), **more}, path)
    return encoder, path


def test_a_checkpoint_of_the_published_structure_is_imported(tmp_path):
    encoder, path = checkpoint(tmp_path)
    (tmp_path / "pretrain_ds_mean_std.txt").write_text(
        json.dumps({"mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}) + "\n"
    )
    out = tmp_path / "w"
    done = CliRunner().invoke(app, ["import-weights", "fsfm", str(path), "-o", str(out), "--json"])
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert "BY-NC" in said["licence"] and said["keys_matched"] == len(encoder.state_dict())
    assert set(said["keys_left_out"]) >= {"mask_token", "decoder_norm", "projector", "predictor"}
    loaded, card = load_encoder(out)
    assert card.architecture.mean == (0.1, 0.2, 0.3) and card.architecture.heads == 12
    state = loaded.state_dict()
    assert all(torch.equal(state[name], value) for name, value in encoder.state_dict().items())


def test_without_statistics_the_colours_are_vggface2s_and_not_imagenets(tmp_path):
    _, path = checkpoint(tmp_path)
    import_fsfm(path, tmp_path / "w")
    assert load_encoder(tmp_path / "w")[1].architecture.mean[0] == pytest.approx(0.5482, abs=1e-4)


class Payload:
    def __reduce__(self):
        import os

        return os.system, ("true",)


def test_a_checkpoint_with_code_beside_the_weights_is_refused(tmp_path):
    _, path = checkpoint(tmp_path, optimizer=Payload())
    with pytest.raises(UsageError, match="refused"):
        import_fsfm(path, tmp_path / "w")
    _, path = checkpoint(tmp_path, args=argparse.Namespace(hook=Payload()))
    with pytest.raises(UsageError, match="refused"):
        import_fsfm(path, tmp_path / "w")


def test_what_is_no_face_encoder_is_refused(tmp_path):
    torch.save({"model": {"blocks.0.norm1.weight": torch.zeros(3)}}, tmp_path / "x.pth")
    with pytest.raises(UsageError, match="no FSFM checkpoint"):
        import_fsfm(tmp_path / "x.pth", tmp_path / "w")
    with pytest.raises(MissingRequirement, match="no face encoder"):
        load_encoder(tmp_path)


def test_a_folder_whose_weights_changed_is_refused(tmp_path):
    encoder = FaceEncoder(TINY)
    save_encoder(tmp_path / "e", TINY, encoder.state_dict(), "noise", "CC0-1.0")
    pixels = torch.rand(1, 3, 32, 32) * 255
    with torch.inference_mode():
        torch.testing.assert_close(load_encoder(tmp_path / "e")[0](pixels), encoder.eval()(pixels))
    path = tmp_path / "e" / WEIGHTS
    path.write_bytes(path.read_bytes()[:-1] + b"\x07")
    with pytest.raises(CorpusError, match="does not match"):
        load_encoder(tmp_path / "e")
