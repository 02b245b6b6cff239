from __future__ import annotations

import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from forensics.detectors.bundle import Bundle, BundleCard, Measurement
from forensics.detectors.calibration import Calibration, Threshold
from forensics.errors import CorpusError, MachineError, MissingRequirement, UsageError

CALIBRATION = Calibration(
    scale=0.5, offset=-1.25, n_bonafide=400, n_spoof=900, fitted_on="dev split, windows"
)
THRESHOLD = Threshold(
    bonafide_below=0.2,
    manipulated_above=0.9,
    target_fpr=0.01,
    target_fnr=0.05,
    n_bonafide=400,
    n_spoof=900,
    measured_fpr=0.0075,
    measured_fpr_interval=(0.0015, 0.0218),
    origin="dev split",
)
MEASURED = Measurement(
    on="test split", metric="eer", value=0.125, interval=(0.1, 0.15), command="evaluate x"
)


@pytest.fixture
def tensors():
    return {"b": torch.arange(6.0).reshape(2, 3).T, "a": torch.tensor(3)}


def test_save_and_load_round_trip(random_card, tensors, tmp_path):
    card = random_card.model_copy(
        update={"calibration": CALIBRATION, "thresholds": (THRESHOLD,), "measured": (MEASURED,)}
    )
    saved = Bundle.save(tmp_path / "w", card, tensors)
    loaded = Bundle.load(tmp_path / "w")
    assert loaded == saved
    assert (loaded.calibration, loaded.thresholds) == (CALIBRATION, (THRESHOLD,))
    assert loaded.config.measured == (MEASURED,)
    back = loaded.tensors()
    assert back.keys() == tensors.keys()
    assert all(torch.equal(back[name], tensors[name]) for name in tensors)
    assert {p.name for p in (tmp_path / "w").iterdir()} == {"config.json", "model.safetensors"}


def test_the_same_weights_give_the_same_hash_in_any_order(random_card, tensors, tmp_path):
    first = Bundle.save(tmp_path / "1", random_card, tensors)
    second = Bundle.save(tmp_path / "2", random_card, dict(reversed(tensors.items())))
    assert first.weights_sha256 == second.weights_sha256


def test_a_calibration_is_added_without_touching_the_weights(random_card, tensors, tmp_path):
    bundle = Bundle.save(tmp_path / "w", random_card, tensors)
    assert bundle.calibration is None
    bundle.with_changes(calibration=CALIBRATION, thresholds=(THRESHOLD,))
    again = Bundle.load(tmp_path / "w")
    assert again.calibration == CALIBRATION and again.thresholds == (THRESHOLD,)
    assert again.weights_sha256 == bundle.weights_sha256
    with pytest.raises(UsageError, match="no calibration"):
        again.with_changes(calibration=None)
    assert Bundle.load(tmp_path / "w") == again


def test_thresholds_without_calibration_are_refused(random_card):
    with pytest.raises(ValidationError, match="no calibration"):
        BundleCard(**{**random_card.model_dump(), "thresholds": (THRESHOLD,)})


def test_a_calibration_never_turns_a_detector_round():
    with pytest.raises(ValidationError, match="scale"):
        Calibration(**{**CALIBRATION.model_dump(), "scale": -1.0})


def test_existing_weights_are_not_overwritten(random_card, tensors, tmp_path):
    Bundle.save(tmp_path, random_card, tensors)
    with pytest.raises(UsageError, match="already holds"):
        Bundle.save(tmp_path, random_card, tensors)


def test_a_folder_that_cannot_be_written_says_so(random_card, tensors, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(MachineError, match="cannot be written"):
        Bundle.save(tmp_path / "file" / "w", random_card, tensors)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".pkl", ".ckpt"])
def test_pickles_are_refused_and_the_import_is_named(tmp_path, suffix):
    pickled = tmp_path / f"model{suffix}"
    pickled.write_bytes(b"never read")
    for path in (pickled, tmp_path):
        with pytest.raises(MissingRequirement) as refused:
            Bundle.load(path)
        assert "forensics import-weights" in (refused.value.fix or "")
        assert str(pickled) in (refused.value.fix or "")


def test_what_is_missing_is_named(random_card, tensors, tmp_path):
    with pytest.raises(MissingRequirement, match="no weights folder"):
        Bundle.load(tmp_path / "nowhere")
    Bundle.save(tmp_path / "w", random_card, tensors)
    (tmp_path / "w" / "model.safetensors").unlink()
    with pytest.raises(MissingRequirement, match=r"no model\.safetensors"):
        Bundle.load(tmp_path / "w")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"weights_sha256": "ABC"}, "weights_sha256"),
        ({"surprise": 1}, "surprise"),
        ({"format": 2}, "format"),
        ({"window_samples": 0}, "window_samples"),
    ],
)
def test_configs_outside_the_schema_are_refused(random_card, tensors, tmp_path, change, named):
    Bundle.save(tmp_path, random_card, tensors)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UsageError, match=named):
        Bundle.load(tmp_path)


def test_another_hash_is_refused(random_card, tensors, tmp_path):
    Bundle.save(tmp_path, random_card, tensors)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "weights_sha256": "0" * 64}))
    with pytest.raises(CorpusError, match="pins 000000000000"):
        Bundle.load(tmp_path)


@given(st.binary(max_size=200))
def test_any_bytes_as_config_are_a_usage_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("fuzz")
    (folder / "config.json").write_bytes(data)
    (folder / "model.safetensors").write_bytes(b"")
    with pytest.raises(UsageError, match="config"):
        Bundle.load(folder)
