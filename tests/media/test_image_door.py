"""The door for untrusted pictures: what opens and how, what does not, and what each costs."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers import bad_media
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from forensics.errors import MediaError
from forensics.media.image import (
    ImageLimits,
    Picture,
    encode_image,
    mask_png,
    read_image,
    read_mask,
)
from forensics.media.raw import RawFile

FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP", "AVIF", "PPM")
REPO = Path(__file__).resolve().parents[2]


def scene(height: int = 48, width: int = 64) -> np.ndarray:
    """Smooth colours with a red corner at the top left."""
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([4 * rows, 3 * columns, 2 * rows + columns], axis=2).clip(0, 255)
    pixels[: height // 3, : width // 3] = (250, 20, 20)
    return pixels.astype(np.uint8)


def saved(image: Image.Image | np.ndarray, format: str, **options) -> bytes:
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def refused(source, **options) -> MediaError:
    with pytest.raises(MediaError) as caught:
        read_image(source, **options)
    assert caught.value.fix and "\n" not in caught.value.what
    return caught.value


def png_of_size(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        checksum = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(100_000), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)


def jpeg_of_size(width: int, height: int) -> bytes:
    data = bytearray(saved(scene(), "JPEG"))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def bmp_of_size(width: int, height: int) -> bytes:
    data = bytearray(saved(scene(), "BMP"))
    data[18:26] = struct.pack("<ii", width, height)
    return bytes(data)


def webp_of_size(width: int, height: int) -> bytes:
    data = bytearray(saved(Image.new("RGBA", (8, 8)), "WEBP", exif=b"Exif\0\0II*\0\x08\0\0\0\0\0"))
    assert data[12:16] == b"VP8X"
    data[24:27] = (width - 1).to_bytes(3, "little")
    data[27:30] = (height - 1).to_bytes(3, "little")
    return bytes(data)


@pytest.mark.parametrize("format", ("PNG", "TIFF", "BMP"))
def test_lossless_formats_give_the_pixels_that_were_saved(format):
    picture = read_image(saved(scene(), format))
    np.testing.assert_array_equal(picture.pixels, scene())
    assert picture.pixels.dtype == np.uint8 and picture.pixels.flags.writeable
    assert picture.format == format.lower() and picture.notes == ()
    assert picture.quantisation == () and picture.subsampling is None


def test_netpbm_grey_and_colour():
    """What old face data sets are stored as: binary P5 and P6, with comments or without."""
    grey = read_image(b"P5 # of 1994\n3 2\n255\n" + bytes(range(6)))
    assert grey.format == "netpbm" and grey.pixels[1, 2].tolist() == [5, 5, 5]
    np.testing.assert_array_equal(read_image(saved(scene(), "PPM")).pixels, scene())
    assert refused(b"P5 2 2 65535\n" + bytes(8)).reason == "unsupported"
    assert refused(b"P5 99999 99999 255\n").reason == "too_large"
    for text in (b"P5 is a chip", b"P6", b"P5 -2 2 7\n1234", b"P5\0" * 20):
        assert refused(text).reason == "not_media"


@pytest.mark.parametrize("format", ("JPEG", "WEBP", "GIF", "AVIF"))
def test_lossy_formats_give_nearly_the_pixels(format):
    picture = read_image(saved(scene(), format))
    assert np.abs(picture.pixels.astype(int) - scene()).mean() < 6
    assert (picture.height, picture.width) == (48, 64)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("share", (0.05, 0.3, 0.6, 0.95))
def test_cut_files_are_refused(format, share):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    whole = saved(pixels, format)
    assert refused(whole[: int(len(whole) * share)]).reason == "truncated"


def test_a_damaged_png_is_refused():
    data = bytearray(saved(scene(), "PNG"))
    data[data.index(b"IDAT") + 20] ^= 0xFF
    assert refused(bytes(data)).reason == "truncated"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"\0" * 5000, "not_media"),
        (b"not an image at all", "not_media"),
        (np.random.default_rng(0).bytes(20_000), "not_media"),
        (bad_media.encoded(), "unsupported_modality"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100), "unsupported"),
    ],
)
def test_what_is_no_picture_says_so(data, reason):
    assert refused(data).reason == reason


@pytest.mark.parametrize("kind", bad_media.ODD_PLACES)
def test_only_regular_files_are_opened(tmp_path, kind):
    path, reason = bad_media.odd_place(tmp_path, kind)
    assert refused(path).reason == reason
    assert refused(tmp_path).reason == "not_readable"


@pytest.mark.parametrize("make", (png_of_size, jpeg_of_size, bmp_of_size))
def test_a_decompression_bomb_is_refused_before_it_is_decoded(make):
    started = time.process_time()
    error = refused(make(30_000, 30_000))
    assert error.reason == "too_large" and "30000 x 30000" in error.what
    assert time.process_time() - started < 0.5


def test_a_webp_bomb_allocates_no_canvas():
    code = (
        "import resource, sys; from forensics.media.image import read_image, ImageLimits\n"
        "from forensics.errors import MediaError\n"
        "from forensics.media.image_decode import opened\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_image(sys.stdin.buffer.read())\n"
        "except MediaError as error: print(error.reason)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=webp_of_size(16_000, 16_000),
        cwd=REPO,
        capture_output=True,
        check=True,
    )
    assert done.stdout.split() == [b"too_large", b"True"]


def test_limits_of_bytes_pixels_and_sides():
    data = saved(scene(), "PNG")
    assert refused(data, limits=ImageLimits(max_bytes=100)).reason == "too_large"
    assert refused(data, limits=ImageLimits(max_pixels=48 * 64 - 1)).reason == "too_large"
    assert refused(data, limits=ImageLimits(min_side=49)).reason == "too_small"
    exact = ImageLimits(max_pixels=48 * 64, min_side=48)
    assert read_image(data, exact).pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("format", FORMATS)
def test_one_pixel(format):
    picture = read_image(saved(Image.new("RGB", (1, 1), (200, 200, 200)), format))
    assert picture.pixels.shape == (1, 1, 3)
    assert np.abs(picture.pixels.astype(int) - 200).max() < 8


@pytest.mark.parametrize("format", ("JPEG", "TIFF"))
def test_cmyk_is_converted(format):
    cmyk = Image.fromarray(scene()).convert("CMYK")
    picture = read_image(saved(cmyk, format, **({"quality": 95} if format == "JPEG" else {})))
    assert np.abs(picture.pixels.astype(int) - scene()).mean() < 3  # a negative would be far off
    assert "CMYK converted to RGB" in picture.notes


@pytest.mark.parametrize("format", ("PNG", "TIFF"))
def test_16_bit_grey_keeps_its_high_byte(format):
    deep = np.arange(48 * 64, dtype=np.uint16).reshape(48, 64) * 21
    picture = read_image(saved(deep, format))
    np.testing.assert_array_equal(picture.pixels, np.repeat((deep >> 8)[:, :, None], 3, axis=2))
    assert picture.notes == ("16 bit a channel reduced to 8",)


def test_16_bit_colour_is_reduced_and_noted():
    cv2 = pytest.importorskip("cv2")
    deep = scene().astype(np.uint16) * 256 + 77
    data = cv2.imencode(".png", deep[..., ::-1])[1].tobytes()
    picture = read_image(data)
    np.testing.assert_array_equal(picture.pixels, scene())
    assert picture.notes == ("16 bit a channel reduced to 8",)


@pytest.mark.parametrize("dtype", (np.float32, np.int32))
def test_samples_of_no_known_range_are_refused(dtype):
    assert refused(saved(scene()[..., 0].astype(dtype), "TIFF")).reason == "unsupported"


def test_grey_palette_and_one_bit():
    grey = scene()[..., 1]
    np.testing.assert_array_equal(read_image(saved(grey, "PNG")).pixels[..., 2], grey)
    assert read_image(saved(grey, "JPEG")).subsampling == "4:0:0"
    bits = Image.fromarray(grey > 90)
    expected = np.where(grey > 90, 255, 0)
    np.testing.assert_array_equal(read_image(saved(bits, "PNG")).pixels[..., 0], expected)
    palette = Image.fromarray(scene()).convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    wanted = np.asarray(palette.convert("RGB"))
    np.testing.assert_array_equal(read_image(saved(palette, "PNG")).pixels, wanted)


@pytest.mark.parametrize("format", ("PNG", "TIFF"))
def test_alpha_is_dropped_and_the_colours_under_it_are_shown(format):
    rgba = np.dstack([scene(), np.full((48, 64), 255, np.uint8)])
    assert read_image(saved(rgba, format)).notes == ("alpha channel dropped",)
    rgba[:12, :, 3] = 0
    picture = read_image(saved(rgba, format))
    np.testing.assert_array_equal(picture.pixels, scene())  # nothing composited
    assert "25.0% of the pixels are not opaque" in picture.notes[0]


def test_a_transparent_colour_of_a_palette_is_noted_too():
    image = Image.fromarray(scene()).convert("P")
    picture = read_image(saved(image, "PNG", transparency=image.getpixel((0, 0))))
    assert picture.notes[0].startswith("alpha channel dropped, ")
    np.testing.assert_array_equal(picture.pixels, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("format", ("GIF", "WEBP", "PNG", "TIFF", "MPO", "AVIF"))
def test_of_several_pictures_the_first_is_read(format):
    first = Image.new("RGB", (32, 24), (240, 10, 10))
    second = Image.new("RGB", (32, 24), (10, 10, 240))
    picture = read_image(saved(first, format, save_all=True, append_images=[second]))
    assert "holds several pictures; the first is judged" in picture.notes
    assert np.abs(picture.pixels.astype(int) - (240, 10, 10)).max() < 12


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pixels_stay_as_stored_and_upright_turns_them(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(scene(), "PNG", exif=exif)
    picture = read_image(data)
    np.testing.assert_array_equal(picture.pixels, scene())
    assert picture.orientation == orientation
    from PIL import ImageOps

    shown = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    np.testing.assert_array_equal(picture.upright(picture.pixels), shown)


def test_what_made_the_file_is_told():
    exif = Image.Exif()
    exif[0x0131], exif[0x010F], exif[0x0110] = "Editor\x00 7", "Maker", "M-1"
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 10:00:00"
    picture = read_image(saved(scene(), "JPEG", exif=exif, progressive=True))
    assert picture.exif == {
        "software": "Editor 7",
        "make": "Maker",
        "model": "M-1",
        "taken": "2024:05:01 10:00:00",
    }
    assert "progressive JPEG" in picture.notes
    assert read_image(saved(scene(), "JPEG")).exif == {}


def test_a_turned_tiff_comes_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = read_image(saved(scene(), "TIFF", exif=exif))
    assert picture.orientation == 1 and "turned upright" in picture.notes[0]
    np.testing.assert_array_equal(picture.pixels, np.rot90(scene(), -1))


@pytest.mark.parametrize("format", ("JPEG", "PNG", "WEBP", "AVIF"))
def test_exif_of_every_format_that_has_it(format):
    exif = Image.Exif()
    exif[0x0131], exif[0x0112] = "Editor", 6
    picture = read_image(saved(scene(), format, exif=exif))
    assert picture.exif["software"] == "Editor" and picture.orientation == 6


def test_an_orientation_that_does_not_exist_and_exif_that_is_rubbish_do_no_harm():
    exif = Image.Exif()
    exif[0x0112] = 77
    assert read_image(saved(scene(), "JPEG", exif=exif)).orientation == 1
    rubbish = saved(scene(), "JPEG", exif=b"Exif\0\0II*\0" + b"\xff" * 200)
    assert read_image(rubbish).pixels.shape == (48, 64, 3)


def test_a_thumbnail_is_noted():
    thumbnail = saved(scene(12, 16), "JPEG")
    first = struct.pack("<H", 0) + struct.pack("<I", 14)
    entries = struct.pack("<HHII", 0x0201, 4, 1, 44) + struct.pack(
        "<HHII", 0x0202, 4, 1, len(thumbnail)
    )
    second = struct.pack("<H", 2) + entries + struct.pack("<I", 0)
    tiff = b"II*\0" + struct.pack("<I", 8) + first + second
    exif = b"Exif\0\0" + tiff.ljust(44, b"\0") + thumbnail
    assert "holds an EXIF thumbnail" in read_image(saved(scene(), "JPEG", exif=exif)).notes


def test_only_a_profile_other_than_srgb_is_noted():
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert read_image(saved(scene(), "PNG", icc_profile=srgb)).notes == ()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    notes = read_image(saved(scene(), "PNG", icc_profile=lab)).notes
    assert notes == ("a colour profile other than sRGB is ignored",)


def test_a_name_that_lies_is_noted(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(saved(scene(), "PNG"))
    picture = read_image(path)
    assert picture.format == "png"
    assert picture.notes == ("the name ends in .jpg but the content is png",)
    with RawFile(path, 1 << 20) as raw:
        assert read_image(raw).format == "png"
        assert read_image(raw).format == "png"  # the caller's file stays open


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=400), start=st.sampled_from((b"", *(f"{f}" for f in FORMATS))))
def test_random_bytes_raise_media_errors_alone(data, start):
    head = saved(scene(8, 8), start, **{})[:60] if start else b""
    try:
        assert isinstance(read_image(head + data), Picture)
    except MediaError as error:
        assert error.reason


@settings(max_examples=300, deadline=None)
@given(
    format=st.sampled_from(FORMATS),
    places=st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), min_size=1, max_size=8),
)
def test_damaged_files_give_a_picture_or_a_media_error(format, places):
    data = bytearray(saved(scene(16, 16), format))
    for share, value in places:
        data[int(share * len(data))] = value
    try:
        picture = read_image(bytes(data), ImageLimits(max_pixels=1 << 20))
        assert picture.pixels.shape == (picture.height, picture.width, 3)
        assert picture.pixels.dtype == np.uint8
    except MediaError as error:
        assert error.reason


def test_real_frames_are_read(shared_data):
    frames = sorted(shared_data("frames").rglob("*.jpg"))[:5]
    if not frames:
        pytest.skip("no JPEG among the frames")
    for frame in frames:
        picture = read_image(frame)
        assert len(picture.quantisation) in (1, 2, 3) and picture.subsampling


def test_masks_round_trip_and_are_cut_at_127(tmp_path):
    mask = scene()[..., 0] > 100
    np.testing.assert_array_equal(read_mask(mask_png(mask), (48, 64)), mask)
    grey = np.array([[0, 127, 128, 255]], np.uint8)
    np.testing.assert_array_equal(read_mask(saved(grey, "PNG")), [[False, False, True, True]])
    colour = np.array([[[0, 0, 0], [255, 255, 255], [200, 0, 0]]], np.uint8)
    path = tmp_path / "m.png"
    path.write_bytes(saved(colour, "PNG"))
    np.testing.assert_array_equal(read_mask(path), [[False, True, True]])


def test_a_mask_of_another_size_names_both(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(mask_png(np.ones((48, 64), bool)))
    with pytest.raises(MediaError, match=r"mask is 64 x 48, its image 640 x 480") as caught:
        read_mask(path, (480, 640))
    assert caught.value.reason == "wrong_size" and "mask.png" in caught.value.what


def test_a_mask_of_zeros_and_ones_is_not_taken_for_an_empty_one():
    with pytest.raises(MediaError, match="0 and 1"):
        read_mask(saved(np.eye(9, dtype=np.uint8), "PNG"))
    assert not read_mask(saved(np.zeros((9, 9), np.uint8), "PNG")).any()


def test_encoding_is_deterministic_and_refuses_what_it_cannot_hold():
    pixels = scene()
    assert encode_image(pixels, "jpeg", 80) == encode_image(pixels.copy(), "jpeg", 80)
    assert encode_image(pixels[:, ::-1], "png") == encode_image(pixels[:, ::-1].copy(), "png")
    np.testing.assert_array_equal(read_image(encode_image(pixels, "png")).pixels, pixels)
    picture = read_image(encode_image(pixels, "jpeg", 80, "4:2:2"))
    assert picture.subsampling == "4:2:2" and picture.exif == {}
    for wrong in (pixels[..., 0], pixels.astype(np.float32), np.dstack([pixels, pixels])):
        with pytest.raises(ValueError, match="uint8"):
            encode_image(wrong, "png")
    with pytest.raises(ValueError, match="quality"):
        encode_image(pixels, "jpeg", 0)
    with pytest.raises(ValueError, match="bool"):
        mask_png(pixels[..., 0])
