from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from forensics.cli import app
from forensics.detectors.bundle import Bundle
from forensics.detectors.face.meso4 import Meso4Detector
from forensics.detectors.importing_meso4 import import_meso4
from forensics.errors import MediaError, UsageError
from forensics.networks.meso4 import SIDE, Meso4

h5py = pytest.importorskip("h5py")

BLOCKS = ((3, 8, 3, 2), (8, 8, 5, 2), (8, 16, 5, 2), (16, 16, 5, 4))
# Logits of the published weights on `drawn_crops`, recorded when the numpy reference gave them too.
GOLDEN = (-1.319356, -3.620361, 2.968086)


@pytest.fixture(scope="module")
def published(shared_data) -> Path:
    return shared_data("weights") / "mesonet" / "Meso4_DF.h5"


@pytest.fixture(scope="module")
def imported(published, tmp_path_factory) -> Bundle:
    return import_meso4(published, tmp_path_factory.mktemp("meso4") / "weights").bundle


def drawn_crops() -> np.ndarray:
    """uint8 (3, 256, 256, 3): gradients, a disc, noise; the same on every machine."""
    down, across = np.mgrid[:SIDE, :SIDE]
    ramp = np.stack([down, across, (down + across) // 2], -1)
    disc = np.where(((down - 128) ** 2 + (across - 120) ** 2 < 80**2)[..., None], 200, ramp // 3)
    noise = np.random.RandomState(5).randint(0, 256, (SIDE, SIDE, 3))
    return np.stack([ramp, disc, noise]).astype(np.uint8)


def weights_of(path: Path) -> list[list[np.ndarray]]:
    """The arrays of each layer that has some, as the file orders them."""
    layers = []
    with h5py.File(path) as file:
        for layer in file.attrs["layer_names"]:
            group = file[layer.decode()]
            arrays = [group[name.decode()][()] for name in group.attrs["weight_names"].tolist()]
            layers += [arrays] if arrays else []
    return layers


def keras_forward(path: Path, crop: np.ndarray) -> float:
    """Meso4 as Keras computes it, channels last, float64; its sigmoid's argument."""
    x = crop.astype(np.float64) / 255
    layers = iter(weights_of(path))
    for _, _, size, pool in BLOCKS:
        kernel, bias = next(layers)
        gamma, beta, mean, variance = next(layers)
        padded = np.pad(x, ((size // 2,) * 2, (size // 2,) * 2, (0, 0)))
        height, width = x.shape[:2]
        x = sum(
            padded[down : down + height, across : across + width] @ kernel[down, across]
            for down in range(size)
            for across in range(size)
        )
        x = np.maximum(x + bias, 0)
        x = gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta
        height, width, channels = x.shape
        x = x.reshape(height // pool, pool, width // pool, pool, channels).max((1, 3))
    kernel, bias = next(layers)
    hidden = x.reshape(-1) @ kernel + bias
    hidden = np.where(hidden > 0, hidden, 0.1 * hidden)
    kernel, bias = next(layers)
    return float((hidden @ kernel + bias)[0])


def network_of(bundle: Bundle) -> Meso4:
    network = Meso4()
    network.load_state_dict(bundle.tensors())
    return network.eval()


def logits_of(network: Meso4, crops: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return network(torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255).numpy()


def test_the_published_weights_give_what_keras_gives(imported, published):
    crops = drawn_crops()
    expected = [keras_forward(published, crop) for crop in crops]
    found = logits_of(network_of(imported), crops)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    sigmoid = 1 / (1 + np.exp(-found)), 1 / (1 + np.exp(-np.array(expected)))
    np.testing.assert_allclose(*sigmoid, atol=1e-5)
    np.testing.assert_allclose(found, GOLDEN, atol=1e-3)


def test_parity_on_real_faces(imported, published, shared_data):
    import cv2

    from forensics.media.image import read_image

    folder = shared_data("faces") / "images"
    paths = [*sorted(folder.glob("lfw10/*/*"))[:2], *sorted(folder.glob("orl/s1/*"))[:1]]
    crops = np.stack([cv2.resize(read_image(path).pixels, (SIDE, SIDE)) for path in paths])
    expected = np.array([keras_forward(published, crop) for crop in crops])
    found = logits_of(network_of(imported), crops)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), 1 / (1 + np.exp(-expected)), atol=1e-5)


def test_the_order_of_the_flattened_maps_is_keras(imported, published):
    """A wrong order of axes would pass on maps that are constant over places; these are not."""
    kernel = weights_of(published)[8][0]
    ours = network_of(imported).hidden.weight
    for row, column, channel in ((0, 0, 0), (0, 0, 5), (0, 3, 0), (6, 2, 15)):
        keras = kernel[(row * 8 + column) * 16 + channel]
        torch.testing.assert_close(
            ours[:, (channel * 8 + row) * 8 + column], torch.from_numpy(keras)
        )


def test_the_command_says_where_the_weights_are_from(published, tmp_path):
    out = tmp_path / "w"
    done = CliRunner().invoke(
        app, ["import-weights", "meso4", str(published), "--out", str(out), "--json"]
    )
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["detector"] == "meso4" and said["licence"] == "Apache-2.0"
    assert said["calibrated"] is False and said["keys_matched"] == 32
    assert Bundle.load(out).config.detector == "meso4"


def small_file(path: Path, change=lambda file: None) -> Path:
    """A weights file with Meso4's layers and zeros, changed."""
    shapes = []
    for inner, outer, size, _ in BLOCKS:
        shapes.append({"kernel:0": (size, size, inner, outer), "bias:0": (outer,)})
        shapes.append(
            {f"{n}:0": (outer,) for n in ("gamma", "beta", "moving_mean", "moving_variance")}
        )
    shapes += [{"kernel:0": (1024, 16), "bias:0": (16,)}, {"kernel:0": (16, 1), "bias:0": (1,)}]
    with h5py.File(path, "w") as file:
        names = [f"layer_{place}" for place in range(len(shapes))]
        file.attrs["layer_names"] = [name.encode() for name in names]
        for name, arrays in zip(names, shapes, strict=True):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{one}".encode() for one in arrays]
            for one, shape in arrays.items():
                group[f"{name}/{one}"] = np.zeros(shape, np.float32)
        change(file)
    return path


def test_a_file_of_the_same_structure_is_imported_and_said_to_be_unknown(tmp_path):
    done = import_meso4(small_file(tmp_path / "mine.h5"), tmp_path / "w")
    assert done.bundle.config.licence == "unknown"
    assert logits_of(network_of(done.bundle), drawn_crops()[:1]) == 0


def _external_link(file):
    del file["layer_0/layer_0/bias:0"]
    file["layer_0/layer_0/bias:0"] = h5py.ExternalLink("/etc/passwd", "x")


def _external_storage(file):
    del file["layer_0/layer_0/bias:0"]
    file["layer_0/layer_0"].create_dataset(
        "bias:0", (8,), "f4", external=[("/etc/hostname", 0, 32)]
    )


def _virtual(file):
    del file["layer_0/layer_0/bias:0"]
    layout = h5py.VirtualLayout((8,), "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (8,))
    file["layer_0/layer_0"].create_virtual_dataset("bias:0", layout)


def _bomb(file):
    del file["layer_0/layer_0/bias:0"]
    file["layer_0/layer_0"].create_dataset(
        "bias:0", (1 << 33,), "f4", chunks=(1 << 20,), compression="gzip"
    )


def _other_type(file):
    del file["layer_0/layer_0/bias:0"]
    file["layer_0/layer_0/bias:0"] = np.zeros(8, np.int64)


def _missing(file):
    del file["layer_9"]


def _no_names(file):
    del file.attrs["layer_names"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (_external_link, "missing, or lies elsewhere"),
        (_external_storage, "no plain array"),
        (_virtual, "no plain array"),
        (_bomb, "larger than the file"),
        (_other_type, "no plain array"),
        (_missing, "missing, or lies elsewhere"),
        (_no_names, "not a Keras weights file"),
    ],
)
def test_nothing_is_followed_out_of_the_file(tmp_path, change, why):
    path = small_file(tmp_path / "hostile.h5", change)
    with pytest.raises(UsageError, match=why):
        import_meso4(path, tmp_path / "w")
    assert not (tmp_path / "w").exists()


def test_what_is_no_meso4_is_refused(tmp_path):
    def renamed(file):
        file["layer_0"].attrs["weight_names"] = [b"layer_0/kernel:0"]

    with pytest.raises(UsageError, match="no Keras weights file of Meso4: no convolutions"):
        import_meso4(small_file(tmp_path / "lacking.h5", renamed), tmp_path / "w")
    whole = small_file(tmp_path / "whole.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UsageError, match="refused"):
        import_meso4(tmp_path / "cut.h5", tmp_path / "w")
    with pytest.raises(MediaError):
        import_meso4(tmp_path / "absent.h5", tmp_path / "w")


def test_the_detector_is_registered_and_needs_weights():
    from forensics.detectors.image.base import IMAGE_DETECTORS
    from forensics.errors import MissingRequirement

    assert IMAGE_DETECTORS.get("meso4") is Meso4Detector
    with pytest.raises(MissingRequirement, match="needs weights"):
        Meso4Detector.from_folder(None)
