"""What cannot be trained on is said before training, with what to do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from helpers.training_corpus import tiny_settings, written

from forensics.errors import MissingRequirement, UsageError
from forensics.training.config import read_settings
from forensics.training.run import run

VOCODER = "vocoder-fourier"


def drop(corpus: str, to: Path, split: str, label: str | None = None) -> str:
    """A copy of the corpus whose sidecars lack a split, or one class of it."""
    shutil.copytree(corpus, to)
    (to / "info.json").unlink(missing_ok=True)
    for path in (to / "shards").glob("*.json"):
        sidecar = json.loads(path.read_text())
        if sidecar["split"] == split and label is None:
            path.unlink()
        elif sidecar["split"] == split:
            items = sidecar["items"]
            sidecar["items"] = {k: meta for k, meta in items.items() if meta["label"] != label}
            sidecar["count"] = len(sidecar["items"])
            path.write_text(json.dumps(sidecar))
    return str(to)


@pytest.mark.parametrize(
    ("split", "label"), [("train", "bonafide"), ("dev", "spoof"), ("dev", None), ("test", None)]
)
def test_corpus_without_a_class_or_split_is_refused_at_once(split, label, corpus, tmp_path):
    lacking = drop(corpus, tmp_path / "corpus", split, label)
    with pytest.raises(UsageError, match=f"the {split} split of .* holds .*at least 1") as caught:
        run(written(tmp_path, tiny_settings()), tmp_path / "run", shards=lacking, device="cpu")
    assert caught.value.fix
    assert not (tmp_path / "run" / "run.yaml").exists()


@pytest.mark.parametrize("task", ["detector", "vocoder"])
@pytest.mark.parametrize(
    ("device", "error", "match"),
    [
        ("cuda:99", MissingRequirement, "torch finds"),
        ("mps", UsageError, "does not run on the device 'mps'"),
        ("tpu9", UsageError, "no device 'tpu9'"),
    ],
)
def test_devices_that_are_not_there(task, device, error, match, corpus, tmp_path):
    of_detector = task == "detector"
    config = written(tmp_path, tiny_settings()) if of_detector else VOCODER
    shards, source = (corpus, None) if of_detector else (None, str(tmp_path))
    with pytest.raises(error, match=match) as caught:
        run(config, tmp_path / "run", device=device, shards=shards, source=source)
    assert caught.value.fix
    assert not (tmp_path / "run").exists()


def test_options_of_the_other_task_are_refused(corpus, tmp_path, monkeypatch):
    path = written(tmp_path, tiny_settings())
    with pytest.raises(UsageError, match="--where"):
        run(path, tmp_path / "run", shards=corpus, where={"label": "real"})
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UsageError, match="one process"):
        run(VOCODER, tmp_path / "run", source=str(tmp_path))


def test_a_section_that_is_off_can_be_switched_on(tmp_path):
    path = written(tmp_path, {"task": "detector", "curriculum": None})
    assert read_settings(path, ["curriculum.stages=2"])["curriculum"] == {"stages": 2}


def test_config_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not YAML"):
        read_settings(str(tmp_path / "c.yaml"))
