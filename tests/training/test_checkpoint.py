"""Checkpoints give back what they were given, bit for bit, or say that they are broken."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from forensics.errors import CorpusError, MissingRequirement
from forensics.training.checkpoint import load, save

SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
STATES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(state=STATES)
def test_any_nesting_of_plain_values_returns(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("state") / "state.safetensors"
    save(path, {"state": state, 7: float("inf")})
    assert load(path) == {"state": state, 7: math.inf}


def test_tensors_keep_dtype_shape_and_strides(tmp_path):
    shared = torch.arange(6.0)
    state = {
        "rng": torch.get_rng_state(),
        "channels last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "slice": torch.arange(12).reshape(3, 4)[:, ::2],
        "scalar": torch.tensor(3),
        "half": torch.randn(3, dtype=torch.bfloat16),
        "none": torch.empty(0, 4),
        "twice": [shared, shared[2:4]],
    }
    save(tmp_path / "a", state)
    back = load(tmp_path / "a")
    for name in ("rng", "channels last", "slice", "scalar", "half", "none"):
        assert back[name].dtype == state[name].dtype
        assert back[name].shape == state[name].shape
        assert torch.equal(back[name], state[name])
    assert back["channels last"].is_contiguous(memory_format=torch.channels_last)
    assert [part.tolist() for part in back["twice"]] == [[0, 1, 2, 3, 4, 5], [2, 3]]


def test_training_goes_on_from_it_as_if_it_had_not_stopped(tmp_path):
    def made():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Dropout(0.5), nn.Flatten(), nn.LazyLinear(1))
        model(torch.zeros(1, 1, 8, 8))
        return model, torch.optim.AdamW(model.parameters(), 1e-2)

    def step(model, optimiser):
        loss = model(torch.randn(4, 1, 8, 8)).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        return loss.item()

    model, optimiser = made()
    for _ in range(3):
        step(model, optimiser)
    rng = np.random.default_rng(5)
    save(
        tmp_path / "a",
        {
            "model": dict(model.state_dict()),
            "optimiser": optimiser.state_dict(),
            "torch": torch.get_rng_state(),
            "numpy": rng.bit_generator.state,
        },
    )
    wanted = [step(model, optimiser) for _ in range(3)]
    draws = rng.random(4)
    state = load(tmp_path / "a")
    model, optimiser = made()
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    torch.set_rng_state(state["torch"])
    rng.bit_generator.state = state["numpy"]
    assert [step(model, optimiser) for _ in range(3)] == wanted
    assert (rng.random(4) == draws).all()


def test_what_json_cannot_say_is_refused(tmp_path):
    for wrong in ({"a": object()}, {(1, 2): 3}, {"a": np.zeros(3)}):
        with pytest.raises(TypeError):
            save(tmp_path / "a", wrong)
    assert not (tmp_path / "a").exists()


def test_missing_and_cut_files_are_named(tmp_path):
    with pytest.raises(MissingRequirement, match="no checkpoint"):
        load(tmp_path / "absent")
    save(tmp_path / "a", {"a": torch.randn(100)})
    data = (tmp_path / "a").read_bytes()
    for kept in (0, 7, 60, len(data) - 1):
        (tmp_path / "a").write_bytes(data[:kept])
        with pytest.raises(CorpusError, match="no whole checkpoint"):
            load(tmp_path / "a")
