from __future__ import annotations

import json
import os
import pickle

import pytest
import torch
from typer.testing import CliRunner

from forensics.cli import app
from forensics.detectors.bundle import Bundle
from forensics.detectors.importing import import_checkpoint
from forensics.detectors.speech.aasist import AasistLDetector
from forensics.errors import MediaError, UsageError


class Payload:
    """Runs a command when it is unpickled."""

    def __init__(self, command: str):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_published_checkpoints_are_recognised_by_their_shapes_and_hash(published):
    for name in ("AASIST", "AASIST-L"):
        config = Bundle.load(published(name)).config
        assert config.detector == name.lower()
        assert config.licence == "MIT"
        assert "ASVspoof 2019 LA" in config.trained_on
        assert config.calibration is None and config.thresholds == ()


def test_a_trainers_wrapping_is_taken_off(random_weights, tmp_path):
    wrapped = {"epoch": 3, "state_dict": {f"module.{k}": v for k, v in random_weights.items()}}
    torch.save(wrapped, tmp_path / "mine.pth")
    done = import_checkpoint("aasist", tmp_path / "mine.pth", tmp_path / "w")
    assert done.keys == len(random_weights)
    assert done.bundle.config.detector == "aasist-l"
    assert done.bundle.config.licence == "unknown" and "mine.pth" in done.bundle.config.trained_on
    tensors = AasistLDetector.trained_network(done.bundle).state_dict()
    assert all(torch.equal(tensors[name], value) for name, value in random_weights.items())


def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path):
    ran = tmp_path / "ran"
    hostile = tmp_path / "hostile.pth"
    hostile.write_bytes(pickle.dumps({"x": Payload(f"touch {ran}")}))
    with pytest.raises(UsageError, match=r"refused.*not a pickle of plain tensors"):
        import_checkpoint("aasist", hostile, tmp_path / "w")
    assert not ran.exists() and not (tmp_path / "w").exists()
    # the payload is real: what the import refuses would have run
    pickle.loads(hostile.read_bytes())  # noqa: S301
    assert ran.exists()


def test_a_hostile_archive_is_refused_even_with_torchs_protection_switched_off(
    random_weights, tmp_path, monkeypatch
):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    ran = tmp_path / "ran"
    torch.save({**random_weights, "x": Payload(f"touch {ran}")}, tmp_path / "hostile.pth")
    with pytest.raises(UsageError, match=r"refused.*would run posix\.system"):
        import_checkpoint("aasist", tmp_path / "hostile.pth", tmp_path / "w")
    assert not ran.exists()


def test_a_checkpoint_that_asks_for_too_much_memory_is_refused(tmp_path):
    # one stored number, expanded: the state dict of a few bytes would become 16 GB
    torch.save({"x": torch.zeros(1).expand(1 << 32)}, tmp_path / "bomb.pth")
    assert (tmp_path / "bomb.pth").stat().st_size < 10_000
    with pytest.raises(UsageError, match=r"refused.*allocate"):
        import_checkpoint("aasist", tmp_path / "bomb.pth", tmp_path / "w")


def test_keys_that_do_not_match_are_listed(random_weights, tmp_path):
    changed = dict(random_weights)
    changed["head.weight"] = changed.pop("out_layer.weight")
    changed["pos_S"] = torch.zeros(1, 23, 25)
    torch.save(changed, tmp_path / "other.pth")
    with pytest.raises(UsageError) as refused:
        import_checkpoint("aasist", tmp_path / "other.pth", tmp_path / "w")
    for part in (
        "nearest is aasist-l",
        "no out_layer.weight",
        "unknown head.weight",
        "pos_S is (1, 23, 25), not (1, 23, 24)",
    ):
        assert part in refused.value.what
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.zeros(2)]])
def test_files_without_a_state_dict_are_refused(tmp_path, content):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(UsageError, match=r"state dict|more than tensors"):
        import_checkpoint("aasist", tmp_path / "odd.pth", tmp_path / "w")


def test_what_cannot_be_imported_at_all(tmp_path):
    with pytest.raises(UsageError, match="no import for"):
        import_checkpoint("resnet", tmp_path / "x.pth", tmp_path / "w")
    with pytest.raises(MediaError, match="no such file"):
        import_checkpoint("aasist", tmp_path / "x.pth", tmp_path / "w")


@pytest.mark.parametrize("json_wanted", [False, True])
def test_the_command_says_what_it_did_and_how_to_use_it(random_weights, tmp_path, json_wanted):
    torch.save(random_weights, tmp_path / "mine.pth")
    folder = tmp_path / "my weights"
    command = ["import-weights", "aasist", str(tmp_path / "mine.pth"), "--out", str(folder)]
    done = CliRunner().invoke(app, [*command, "--json"] if json_wanted else command)
    assert done.exit_code == 0, done.output
    if json_wanted:
        said = json.loads(done.stdout)
        assert said["keys_matched"] == 229 and said["calibrated"] is False
        assert said["weights_sha256"] == Bundle.load(folder).weights_sha256
    else:
        assert "229 of 229 keys matched" in done.stdout
        use = f"forensics detect --detector aasist-l --weights '{folder}' FILE"
        assert use in done.stdout
