"""JPEG headers: the order of the tables, the subsampling, the IJG quality."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, JpegPresets

from forensics.media.image import encode_image, read_image
from forensics.media.image_facts import estimate_quality, ijg_tables, subsampling

PIXELS = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
# The first bytes after the marker of a luma table are its first diagonals.
ZIGZAG_START = [(0, 0), (0, 1), (1, 0), (2, 0), (1, 1), (0, 2), (0, 3), (1, 2), (2, 1), (3, 0)]


def luma_bytes(data: bytes) -> bytes:
    at = data.index(b"\xff\xdb")
    assert data[at + 4] == 0  # 8 bit, table 0
    return data[at + 5 : at + 69]


def test_tables_are_in_natural_order():
    data = encode_image(PIXELS, "jpeg", 50)
    luma, chroma = read_image(data).quantisation
    # T.81 K.1 has 11 right of the corner, 12 below it; K.2 has 66 in row 1, column 3.
    assert luma[0, :4].tolist() == [16, 11, 10, 16] and luma[1:3, 0].tolist() == [12, 14]
    assert chroma[1, 3] == 66 and chroma[3].tolist() == [47, 66] + [99] * 6
    stored = luma_bytes(data)
    assert [int(luma[row, column]) for row, column in ZIGZAG_START] == list(stored[:10])


def test_tables_of_another_encoder_are_read_too():
    cv2 = pytest.importorskip("cv2")
    done, data = cv2.imencode(".jpg", PIXELS, [cv2.IMWRITE_JPEG_QUALITY, 71])
    assert done
    picture = read_image(data.tobytes())
    assert estimate_quality(picture.quantisation) == 71


@pytest.mark.parametrize("quality", range(1, 101))
def test_every_ijg_quality_is_recognised(quality):
    assert (
        estimate_quality(read_image(encode_image(PIXELS[:8, :8], "jpeg", quality)).quantisation)
        == quality
    )
    assert estimate_quality(ijg_tables(quality)[:1]) == quality  # a grey JPEG


def test_other_tables_have_no_ijg_quality(tmp_path):
    path = tmp_path / "a.jpg"
    tables = JpegPresets.presets["web_high"]["quantization"]
    Image.fromarray(PIXELS).save(path, qtables=tables)
    picture = read_image(path)
    assert estimate_quality(picture.quantisation) is None
    np.testing.assert_array_equal(picture.quantisation[0].ravel(), tables[0])
    assert estimate_quality(()) is None


@pytest.mark.parametrize("name", ("4:4:4", "4:2:2", "4:2:0", "4:1:1", "4:4:0"))
def test_subsampling(tmp_path, name):
    path = tmp_path / "a.jpg"
    cv2 = pytest.importorskip("cv2")
    factors = {
        "4:4:4": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
        "4:2:2": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_422,
        "4:2:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
        "4:1:1": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_411,
        "4:4:0": cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440,
    }
    cv2.imwrite(str(path), PIXELS, [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, factors[name]])
    assert read_image(path).subsampling == name


def test_odd_sampling_factors_are_spelt_out():
    image = Image.new("RGB", (8, 8))
    image.layer = [(1, 3, 1, 0), (2, 2, 1, 1), (3, 1, 1, 1)]  # type: ignore[attr-defined]
    assert subsampling(image) == "3x1,2x1,1x1"
    assert subsampling(Image.new("RGB", (8, 8))) is None
