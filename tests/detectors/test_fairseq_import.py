"""Published checkpoints on fairseq come in under our names and compute what they computed."""

from __future__ import annotations

import pytest
import torch
from helpers import fairseq_checkpoints as fairseq
from helpers import tiny_backbones
from torch.nn import functional as F
from typer.testing import CliRunner

from forensics.cli import app
from forensics.detectors.base import DETECTORS
from forensics.detectors.bundle import Bundle
from forensics.detectors.importing import import_checkpoint
from forensics.errors import UsageError

HEADS = {"hiercon": fairseq.hiercon_head, "sls": fairseq.sls_head}
WINDOW = 64_600


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def imported(family, tmp_path, state):
    torch.save(state, tmp_path / "published.pth")
    folder = tmp_path / "weights"
    done = import_checkpoint(family, tmp_path / "published.pth", folder, heads=4)
    return done, DETECTORS.get(family).from_folder(folder)


@pytest.mark.parametrize("stable", [True, False], ids=["norm first", "norm last"])
@pytest.mark.parametrize("family", HEADS)
def test_the_backbone_computes_what_fairseq_computes(family, stable, tmp_path):
    state = fairseq.checkpoint(HEADS[family](), stable)
    done, detector = imported(family, tmp_path, state)
    samples = tiny_backbones.noise(1, WINDOW)
    with torch.inference_mode():
        found = type(detector).trained_network(detector.bundle).backbone(samples)
        wanted = fairseq.layers(fairseq.backbone(stable), samples, stable)
    assert len(found) == len(wanted) == 4 and found[0].shape == (1, 201, 32)
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=1e-4)
    taken = {name.removeprefix(fairseq.PREFIX) for name in done.left_out}
    assert taken >= {"mask_emb", "quantizer.vars", "project_q.weight", "final_proj.bias"}
    assert ("encoder.layer_norm.weight" in taken) is stable
    assert done.keys + len(done.left_out) == len(state)


def test_sls_scores_are_those_of_its_weights(tmp_path):
    head = fairseq.sls_head()
    _, detector = imported("sls", tmp_path, fairseq.checkpoint(head))
    samples = tiny_backbones.noise(1, WINDOW)
    stack = torch.stack(fairseq.layers(fairseq.backbone(), samples), dim=1)
    gates = torch.sigmoid(F.linear(stack.mean(dim=2), head["fc0.weight"], head["fc0.bias"]))
    image = (stack * gates.unsqueeze(3)).sum(dim=1).unsqueeze(1)
    normed = (image - head["first_bn.running_mean"]) / (head["first_bn.running_var"] + 1e-5).sqrt()
    image = F.max_pool2d(F.selu(normed * head["first_bn.weight"] + head["first_bn.bias"]), 3)
    hidden = F.selu(F.linear(image.flatten(1), head["fc1.weight"], head["fc1.bias"]))
    logits = F.selu(F.linear(hidden, head["fc3.weight"], head["fc3.bias"]))
    wanted = (logits[:, 1] - logits[:, 0]).item()
    assert detector.score(samples.numpy())[0] == pytest.approx(wanted, abs=1e-4)


def test_hiercon_scores_are_those_of_its_weights(tmp_path):
    head = fairseq.hiercon_head()
    _, detector = imported("hiercon", tmp_path, fairseq.checkpoint(head))

    def norm(x, name):
        return F.layer_norm(x, x.shape[-1:], head[f"{name}.weight"], head[f"{name}.bias"])

    def linear(x, name):
        return F.linear(x, head[f"{name}.weight"], head[f"{name}.bias"])

    def pooled(rows, name):
        rows = norm(rows, f"{name}.layer_norm")
        scores = torch.tanh(linear(rows, f"{name}.proj")) @ head[f"{name}.score.weight"].T
        return (scores.softmax(dim=1) * rows).sum(dim=1)

    def refined(x, name):
        inner = F.gelu(linear(norm(x, f"{name}.net.0"), f"{name}.net.1"))
        return x + linear(inner, f"{name}.net.4")

    samples = tiny_backbones.noise(1, WINDOW)
    outputs = fairseq.layers(fairseq.backbone(), samples)
    summaries = [pooled(layer, "temporal_attn") for layer in outputs]
    groups = [summaries[:3], summaries[3:]]
    vectors = [
        refined(pooled(torch.stack(group, 1), "intra_attn"), "group_refine") for group in groups
    ]
    x = refined(pooled(torch.stack(vectors, dim=1), "inter_attn"), "utt_refine")
    x = F.gelu(norm(linear(x, "classifier.1"), "classifier.2"))
    x = F.gelu(norm(linear(x, "classifier.5"), "classifier.6"))
    logits = linear(x, "classifier.9")
    wanted = (logits[:, 1] - logits[:, 0]).item()
    assert detector.score(samples.numpy())[0] == pytest.approx(wanted, abs=1e-4)


def test_a_checkpoint_without_its_projection_is_whole(tmp_path):
    head = {k: v for k, v in fairseq.hiercon_head().items() if not k.startswith("projection")}
    done, _ = imported("hiercon", tmp_path, fairseq.checkpoint(head))
    assert done.bundle.config.architecture["projection"] is False


def test_what_does_not_fit_is_named(tmp_path):
    state = fairseq.checkpoint(fairseq.sls_head())
    unknown = state | {"fc9.weight": torch.zeros(2)}
    with pytest.raises(UsageError, match=r"no sls checkpoint.*unknown fc9\.weight"):
        imported("sls", tmp_path, unknown)
    with pytest.raises(UsageError, match=r"no published wav2vec 2\.0 has 32 channels"):
        import_checkpoint("sls", tmp_path / "published.pth", tmp_path / "weights")
    with pytest.raises(UsageError, match=r"no fairseq wav2vec 2\.0 under ssl_model"):
        imported("sls", tmp_path, fairseq.sls_head())
    del state[f"{fairseq.PREFIX}encoder.layers.2.fc2.bias"]
    with pytest.raises(UsageError, match=r"no backbone\.model\.encoder\.layers\.2"):
        imported("sls", tmp_path, state)
    assert not (tmp_path / "weights").exists()


def test_the_command_says_what_it_left_out(tmp_path):
    torch.save(fairseq.checkpoint(fairseq.sls_head()), tmp_path / "published.pth")
    arguments = ["import-weights", "sls", str(tmp_path / "published.pth"), "--heads", "4"]
    done = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "w")])
    assert done.exit_code == 0, done.output
    assert "110 of 117 keys matched" in done.stdout
    left_out = next(line for line in done.stdout.splitlines() if "left out" in line)
    assert "ssl_model.model.mask_emb" in left_out and left_out.count("ssl_model") == 7
    config = Bundle.load(tmp_path / "w").config
    assert config.detector == "sls" and config.calibration is None
