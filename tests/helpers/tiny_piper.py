"""A Piper voice small enough to build in a test: real ONNX, real settings, no speech.

Every phoneme becomes 512 samples (times the length scale) of a level that depends on it, with
noise from ONNX Runtime's generator on top, scaled by `noise_scale` as in the published voices.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

_FLOAT, _INT64 = 1, 7
_SAMPLES = 512


def build(folder: Path, speakers: int = 1, **settings) -> str:
    """Write `tiny.onnx` and `tiny.onnx.json`; returns the path of the former."""
    from piper.phoneme_ids import DEFAULT_PHONEME_ID_MAP

    voice = folder / "tiny.onnx"
    voice.write_bytes(_model(speakers))
    described = {
        "num_symbols": 256,
        "num_speakers": speakers,
        "audio": {"sample_rate": 22_050},
        "espeak": {"voice": "en-us"},
        "language": {"code": "en_US"},
        "phoneme_id_map": DEFAULT_PHONEME_ID_MAP,
        "phoneme_type": "espeak",
        "inference": {"noise_scale": 0.667, "length_scale": 1, "noise_w": 0.8},
    }
    Path(f"{voice}.json").write_text(json.dumps(described | settings))
    return str(voice)


def _model(speakers: int) -> bytes:
    constants = {
        "axis": np.array([2]),
        "samples": np.array(_SAMPLES, np.float32),
        "start": np.array([0]),
        "once": np.array([1, 1]),
        "flat": np.array([1, 1, -1]),
        "first": np.array(0),
        "second": np.array(1),
        "small": np.array(0.002, np.float32),
    }
    nodes = [
        ("Cast", ["input"], "levels", {"to": _FLOAT}),
        ("Unsqueeze", ["levels", "axis"], "column", {}),
        ("Gather", ["scales", "second"], "stretch", {}),
        ("Mul", ["stretch", "samples"], "length", {}),
        ("Cast", ["length"], "whole", {"to": _INT64}),
        ("Unsqueeze", ["whole", "start"], "times", {}),
        ("Concat", ["once", "times"], "repeats", {"axis": 0}),
        ("Tile", ["column", "repeats"], "held", {}),
        ("Reshape", ["held", "flat"], "wave", {}),
        ("RandomNormalLike", ["wave"], "noise", {}),
        ("Gather", ["scales", "first"], "scale", {}),
        ("Mul", ["noise", "scale"], "hiss", {}),
        ("Mul", ["wave", "small"], "tone", {}),
        ("Add", ["hiss", "tone"], "clean" if speakers > 1 else "output", {}),
    ]
    inputs = [("input", _INT64), ("input_lengths", _INT64), ("scales", _FLOAT)]
    if speakers > 1:  # the speaker's number is added to the wave
        inputs.append(("sid", _INT64))
        nodes.append(("Cast", ["sid"], "speaker", {"to": _FLOAT}))
        nodes.append(("Add", ["clean", "speaker"], "output", {}))
    graph = b"".join(_part(1, _node(*node)) for node in nodes) + _part(2, b"tiny")
    graph += b"".join(_part(5, _tensor(name, value)) for name, value in constants.items())
    graph += b"".join(_part(11, _value(name, kind)) for name, kind in inputs)
    graph += _part(12, _value("output", _FLOAT))
    return _number(1, 8) + _part(7, graph) + _part(8, _part(1, b"") + _number(2, 15))


def _node(operation: str, inputs: list[str], output: str, attributes: dict[str, int]) -> bytes:
    fields = b"".join(_part(1, name.encode()) for name in inputs) + _part(2, output.encode())
    fields += _part(4, operation.encode())
    for name, value in attributes.items():
        integer = 2
        fields += _part(5, _part(1, name.encode()) + _number(3, value) + _number(20, integer))
    return fields


def _tensor(name: str, value: np.ndarray) -> bytes:
    kind = _FLOAT if value.dtype == np.float32 else _INT64
    dims = b"".join(_number(1, size) for size in value.shape)
    return dims + _number(2, kind) + _part(8, name.encode()) + _part(9, value.tobytes())


def _value(name: str, kind: int) -> bytes:
    return _part(1, name.encode()) + _part(2, _part(1, _number(1, kind)))


# Protocol buffers' wire format: a field is its number and type, then the value.


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _part(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])
