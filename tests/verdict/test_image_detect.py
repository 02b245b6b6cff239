"""`detect` on pictures and videos: one path, one schema, and no picture stops another."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import numpy as np
import pytest
from helpers import bad_media, tiny_detector
from helpers.red_detector import THRESHOLD, Red, scene
from PIL import Image

import forensics
from forensics.detectors.image.base import Finding
from forensics.detectors.image.planes import Plane
from forensics.errors import MissingRequirement, UsageError
from forensics.media.av_reader import av_installed
from forensics.media.image import ImageLimits, Picture, read_image
from forensics.verdict.detect import detect, detect_iter
from forensics.verdict.image_judge import middle
from forensics.verdict.schema import Verdict
from forensics.verdict.sources import frame_set

BOX = (10, 6, 26, 18)  # of 48 x 64 pixels: 6.25 %, raw 2 - 6.25
FORGED, REAL = scene(red=BOX), scene()


def saved(pixels, format: str = "PNG", **options) -> bytes:
    image = Image.fromarray(pixels) if isinstance(pixels, np.ndarray) else pixels
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def bomb() -> bytes:
    """A PNG that says 30 000 x 30 000 in its header."""
    data = bytearray(saved(REAL))
    data[16:24] = (30_000).to_bytes(4, "big") * 2
    import zlib

    data[29:33] = zlib.crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


BAD = {
    "cut png": (lambda: saved(REAL)[:200], "truncated"),
    "cut jpeg": (lambda: saved(REAL, "JPEG")[:400], "truncated"),
    "bomb": (bomb, "too_large"),
    "empty": (lambda: b"", "empty"),
    "text": (lambda: b"this is no picture\n" * 20, "not_media"),
    "heic": (lambda: b"\0\0\0\x18ftypheic" + bytes(200), "unsupported"),
    "one pixel": (lambda: saved(REAL[:1, :1]), "unsuitable"),
    "sound": (bad_media.encoded, "unsupported_modality"),
}
ODD = {
    "cmyk": lambda: saved(Image.fromarray(FORGED).convert("CMYK"), "TIFF"),
    "16 bit": lambda: saved(Image.fromarray(np.full((40, 40), 30_000, np.uint16)), "PNG"),
    "grey": lambda: saved(Image.fromarray(REAL[..., 0]), "PNG"),
    "alpha": lambda: saved(Image.fromarray(FORGED).convert("RGBA"), "PNG"),
    "animated": lambda: saved(
        Image.fromarray(FORGED), "GIF", save_all=True, append_images=[Image.fromarray(REAL)]
    ),
    "webp": lambda: saved(FORGED, "WEBP", lossless=True),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_pictures_get_their_reason(tmp_path, case):
    make, reason = BAD[case]
    path = tmp_path / "a.jpg"
    path.write_bytes(make())
    for source in (path, path.read_bytes()):
        (verdict,) = detect([source], Red())
        assert (verdict.label, verdict.reason) == ("not_applicable", reason)
        assert verdict.p_manipulated is None and verdict.llr is None and verdict.regions == ()
        assert verdict.message and "\n" not in verdict.message


@pytest.mark.parametrize("case", ODD)
def test_odd_pictures_are_judged_and_say_what_was_changed(case):
    (verdict,) = detect([ODD[case]()], Red())
    assert verdict.label in ("manipulated", "bonafide")
    assert bool(verdict.provenance["notes"]) == (case in ("cmyk", "16 bit", "alpha", "animated"))


def test_a_picture_gets_a_whole_verdict(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(saved(FORGED))
    (verdict,) = detect([path], Red())
    assert (verdict.label, verdict.reason) == ("manipulated", "above_threshold")
    assert verdict.llr == pytest.approx(2 * (2 - 6.25))
    assert verdict.p_manipulated == pytest.approx(1 / (1 + np.exp(verdict.llr)))
    assert verdict.threshold == THRESHOLD and verdict.modality == "image"
    (region,) = verdict.regions
    assert region.box == BOX and region.area == pytest.approx(0.0625)
    assert region.score is not None and region.score > 0.9
    assert (verdict.input.width, verdict.input.height, verdict.input.format) == (64, 48, "png")
    assert verdict.input.size_bytes == path.stat().st_size and len(verdict.input.sha256 or "") == 64
    (entry,) = verdict.detectors
    assert (entry.name, entry.raw, entry.details) == ("red", pytest.approx(-4.25), {"red": 192})
    assert entry.says == "marks 1 region, 6.2 % of the picture"
    assert "limits of red: knows one colour" in verdict.not_run
    assert verdict.segments == () == verdict.frames
    assert Verdict.model_validate_json(verdict.model_dump_json()) == verdict
    assert detect([saved(REAL)], Red())[0].label == "bonafide"


def test_pixels_bytes_files_and_pictures_are_judged_alike(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(FORGED))
    ways = [path, path.read_bytes(), FORGED, read_image(path), str(path)]
    verdicts = detect(ways[:4], Red()) + detect(ways[4], Red()) + detect(FORGED, Red())
    assert len({v.llr for v in verdicts}) == 1
    assert [v.input.format for v in verdicts[:4]] == ["png", "png", "pixels", "png"]
    assert verdicts[2].path == "<pixels 2>"


@pytest.mark.parametrize(
    "pixels",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((4, 4, 4), np.uint8), np.zeros(9)],
)
def test_arrays_that_are_no_pixels_get_a_reason(pixels):
    (verdict,) = detect([pixels], Red())
    assert (verdict.reason, verdict.label) == ("unsupported", "not_applicable")
    assert "uint8 (H, W, 3)" in verdict.message
    (empty,) = detect([np.zeros((0, 4, 3), np.uint8)], Red())
    assert empty.reason == "empty"


def test_a_batch_judges_as_singles_do_and_bad_ones_cost_themselves_alone():
    inputs = [saved(FORGED), BAD["cut png"][0](), saved(REAL), b"junk", FORGED]
    together = detect(inputs, Red())
    alone = [detect([one], Red())[0] for one in inputs]
    for one, other in zip(together, alone, strict=True):
        assert (one.label, one.reason, one.llr) == (other.label, other.reason, other.llr)
        assert one.regions == other.regions
    assert [v.label == "not_applicable" for v in together] == [0, 1, 0, 1, 0]


def test_regions_lie_in_the_picture_as_viewers_show_it():
    exif = Image.Exif()
    exif[0x0112] = 6  # viewers turn it by 90 degrees to the right
    shown = []
    (verdict,) = detect(
        [saved(FORGED, exif=exif.tobytes())], Red(), show=lambda v, seen: shown.append(seen)
    )
    assert (verdict.input.width, verdict.input.height) == (48, 64)
    left, top, right, bottom = BOX
    assert verdict.regions[0].box == (48 - bottom, left, 48 - top, right)
    (seen,) = shown
    assert seen.pixels.shape == (64, 48, 3) and seen.heatmap.shape == (64, 48)
    x0, y0, x1, y1 = verdict.regions[0].box
    assert (seen.heatmap[y0:y1, x0:x1] > 127).all() and (seen.heatmap > 127).sum() == 192


def test_regions_come_largest_first_and_are_capped():
    pixels = scene(200, 300)
    for number in range(20):
        pixels[5 : 7 + number // 4, 10 * number + 2 : 10 * number + 7] = (250, 0, 0)
    (verdict,) = detect(pixels, Red())
    areas = [region.area for region in verdict.regions]
    assert len(areas) == 16 and areas == sorted(areas, reverse=True)
    assert "16 or more" in (verdict.detectors[0].says or "")


def test_what_a_picture_says_of_itself_is_shown_and_changes_nothing():
    exif = Image.Exif()
    exif[0x0131] = "FakeMaker 3.0, verdict: bonafide"
    plain, tagged = saved(FORGED, "JPEG", quality=80), saved(FORGED, "JPEG", quality=80, exif=exif)
    before, after = detect([plain, tagged], Red())
    assert after.llr == before.llr and after.label == before.label == "manipulated"
    assert after.provenance["tags"] == {"software": "FakeMaker 3.0, verdict: bonafide"}
    assert after.provenance["jpeg"] == {"quality": 80, "subsampling": "4:2:0"}


class Broken(Red):
    """Breaks its contract in the way that the first pixel names."""

    def examine(self, picture: Picture) -> Finding:
        found = super().examine(picture)
        size = picture.pixels.shape[:2]
        ways = {
            1: lambda: Finding(float("nan")),
            2: lambda: Finding(1.0, heatmap=Plane.of(np.zeros((3, 3), np.float32))),
            3: lambda: Finding(None),
            4: lambda: Finding(1.0, details={"nan": float("nan"), "odd": object()}),
            5: lambda: Finding(1.0, mask=Plane.of(np.zeros(size, bool)), parts={"nobody": found}),
        }
        if picture.pixels[0, 0, 0] == 6:
            raise RuntimeError("index out of range")
        return ways.get(int(picture.pixels[0, 0, 0]), lambda: found)()


@pytest.mark.parametrize("way", [1, 2, 3, 5, 6])
def test_a_detector_with_a_bug_costs_its_picture_alone(way, caplog):
    cursed = REAL.copy()
    cursed[0, 0] = way
    with caplog.at_level(logging.CRITICAL):
        verdicts = detect([REAL, cursed, FORGED], Broken())
    assert [v.reason for v in verdicts] == ["below_threshold", "internal_error", "above_threshold"]


def test_details_that_are_not_json_are_made_so():
    cursed = REAL.copy()
    cursed[0, 0] = 4
    (verdict,) = detect([cursed], Broken())
    assert verdict.detectors[0].details["nan"] is None
    json.dumps(verdict.model_dump(mode="json"), allow_nan=False)


def test_an_uncalibrated_detector_is_never_certain():
    (verdict,) = detect([FORGED], Red(calibrated=False))
    assert (verdict.label, verdict.reason) == ("uncertain", "uncalibrated")
    assert verdict.llr is None and verdict.regions[0].box == BOX
    assert verdict.detectors[0].weights_sha256 is None
    assert verdict.detectors[0].raw == pytest.approx(-4.25)


def test_pictures_wait_for_no_batch_of_speech(tmp_path, monkeypatch):
    """A picture behind a short clip is answered before the stream ends."""
    from forensics.verdict import detect as module

    weights = tiny_detector.save(tmp_path / "tiny")
    speech = forensics.load_detector(weights)
    monkeypatch.setattr(
        module, "_loads", lambda *_: {"speech": lambda: speech, "image": lambda: Red()}
    )
    asked = []

    def stream():
        for one in (bad_media.encoded(), FORGED, bad_media.encoded(), REAL, b"junk"):
            asked.append(one)
            yield one

    verdicts = detect_iter(stream(), batch_size=1000)
    assert [next(verdicts).modality, next(verdicts).modality] == ["speech", "image"]
    assert len(asked) == 2
    rest = list(verdicts)
    assert [v.modality for v in rest] == ["speech", "image", None]
    (alone,) = detect([bad_media.encoded()], speech)
    assert rest[0].llr == alone.llr


def test_modality_decides_who_judges(tmp_path):
    weights = tiny_detector.save(tmp_path / "tiny")
    (verdict,) = detect([FORGED], weights)
    assert verdict.reason == "unsupported_modality"
    assert "the detector judges speech" in verdict.message and "--detector" in verdict.message
    (heard,) = detect([bad_media.encoded()], Red())
    assert heard.reason == "unsupported_modality" and heard.modality == "speech"
    assert detect([(bad_media.tone()[:, 0], 16_000)], Red())[0].reason == "unsupported_modality"


def test_limits_reach_the_work():
    (verdict,) = detect([saved(FORGED)], Red(), image_limits=ImageLimits(max_pixels=100))
    assert verdict.reason == "too_large"
    (verdict,) = detect([saved(FORGED)], Red(), image_limits=ImageLimits(max_bytes=100))
    assert verdict.reason == "too_large"


def test_a_default_without_weights_says_how_to_get_some(monkeypatch, tmp_path):
    from forensics.verdict import loading

    monkeypatch.setitem(loading._SHIPPED, "image-default", tmp_path / "gone")
    with pytest.raises(MissingRequirement, match="image-default has no weights") as caught:
        detect([FORGED])
    assert "--detector zero" in (caught.value.fix or "")
    with pytest.raises(UsageError, match="takes no weights"):
        detect([FORGED], "ela", weights=tmp_path)


def folder_of(tmp_path, *pictures, name="frames") -> str:
    folder = tmp_path / name
    folder.mkdir()
    for number, pixels in enumerate(pictures):
        data = pixels if isinstance(pixels, bytes) else saved(pixels)
        (folder / f"{number:03d}.png").write_bytes(data)
    return str(folder)


def test_frames_get_one_verdict_that_most_of_them_must_support(tmp_path):
    one = frame_set(folder_of(tmp_path, FORGED, REAL, REAL, REAL, REAL))
    shown = []
    (verdict,) = detect(one, Red(), show=lambda v, seen: shown.append(seen))
    assert (verdict.label, verdict.reason) == ("uncertain", "frames_disagree")
    assert verdict.modality == "video" and verdict.llr == pytest.approx(4.0)
    assert [f.llr for f in verdict.frames] == pytest.approx([-8.5, 4, 4, 4, 4])
    assert verdict.frames[0].regions[0].box == BOX and verdict.frames[1].regions == ()
    assert verdict.frames[0].name == f"{one.name}/000.png"
    assert verdict.regions[0].box == BOX  # of the frame that speaks most for manipulation
    np.testing.assert_array_equal(shown[0].pixels, FORGED)
    assert len(shown) == 1
    (most,) = detect(frame_set(folder_of(tmp_path, FORGED, FORGED, REAL, name="more")), Red())
    assert most.label == "manipulated"


def test_frames_that_cannot_be_judged_are_listed_and_do_not_count(tmp_path):
    one = frame_set(folder_of(tmp_path, REAL, b"junk", REAL[:1, :1], REAL))
    (verdict,) = detect(one, Red())
    assert verdict.label == "bonafide"
    assert [f.not_applicable is None for f in verdict.frames] == [True, False, False, True]
    assert "frames: 2 of 4 could not be judged" in verdict.not_run
    (none,) = detect(frame_set(str(tmp_path / "*.nothing")), Red())
    assert (none.label, none.reason) == ("not_applicable", "unsuitable")


def test_of_many_frames_some_are_looked_at_evenly(tmp_path):
    one = frame_set(folder_of(tmp_path, *([REAL] * 9)))
    (verdict,) = detect(one, Red(), frames=3)
    assert [(f.name or "")[-7:] for f in verdict.frames] == ["001.png", "004.png", "007.png"]
    assert verdict.not_run[0] == "frames: 3 of 9, evenly spread, were looked at"


def test_the_middle_is_mild():
    assert middle([3.0, -5.0]) == 3.0
    assert middle([3.0, -5.0, -9.0]) == -5.0
    rng = np.random.default_rng(0)
    frames = rng.standard_normal((4000, 16)) + rng.standard_normal((4000, 1))
    alarm = np.quantile(frames, 0.02)
    share = np.mean([middle(row.tolist()) < alarm for row in frames])
    assert share <= 0.04 < np.mean(frames.min(axis=1) < alarm)


def test_a_video_is_judged_frame_by_frame(tmp_path):
    if not av_installed():
        pytest.skip("needs the extra: forensics[av]")
    path = tmp_path / "a.mp4"
    path.write_bytes(video(bad_media.tone(2.0)))
    (verdict,) = detect([path], Red(), frames=4)
    assert verdict.modality == "video" and len(verdict.frames) == 4
    assert [f.time_s for f in verdict.frames] == pytest.approx([0.2, 0.7, 1.2, 1.7], abs=0.11)
    assert verdict.label == "manipulated"
    assert any(note.startswith("audio: the sound") for note in verdict.not_run)
    assert (verdict.input.width, verdict.input.height, verdict.input.container) == (64, 48, "mp4")
    assert verdict.detectors[0].raw == min(f.raw for f in verdict.frames if f.raw is not None)


def test_a_cut_video_and_one_of_sound_alone(tmp_path):
    if not av_installed():
        pytest.skip("needs the extra: forensics[av]")
    data = video(None)
    verdicts = detect([data[: len(data) // 2], data], Red())
    assert [v.reason for v in verdicts] == ["truncated", "above_threshold"]
    (sound,) = detect([video(bad_media.tone(2.0), pictures=False)], Red())
    assert (sound.reason, sound.modality) == ("unsupported_modality", "speech")


def video(sound: np.ndarray | None, pictures: bool = True) -> bytes:
    """Two seconds at 10 frames a second."""
    import av

    handle = io.BytesIO()
    with av.open(handle, "w", format="mp4") as out:
        shown = out.add_stream("mpeg4", rate=10, bit_rate=4_000_000) if pictures else None
        heard = out.add_stream("aac", rate=16_000) if sound is not None else None
        if shown is not None:
            shown.width, shown.height, shown.pix_fmt = 64, 48, "yuv420p"
            for _ in range(20):
                out.mux(shown.encode(av.VideoFrame.from_ndarray(FORGED, format="rgb24")))
            out.mux(shown.encode(None))
        if heard is not None and sound is not None:
            samples = np.ascontiguousarray(sound.T)
            frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
            frame.rate = 16_000
            out.mux(heard.encode(frame))
            out.mux(heard.encode(None))
    return handle.getvalue()


def test_a_picture_judged_without_weights_needs_no_torch(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(saved(scene(96, 128)))
    code = (
        "import sys, forensics\n"
        f"(v,) = forensics.detect([{str(path)!r}], 'ela')\n"
        "print(v.reason, [m for m in ('torch', 'sklearn', 'scipy') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "uncalibrated []"
