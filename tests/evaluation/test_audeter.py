"""AUDETER's layout in small: two domains, both families, real clips stored beside each system."""

from __future__ import annotations

import io
import tarfile

import pytest
from helpers.loudness_detector import Loudness, tone

from forensics.errors import CorpusError, UsageError
from forensics.evaluation.audeter import is_audeter, read_audeter
from forensics.evaluation.contenders import contenders
from forensics.evaluation.scoring import score_clips
from forensics.media.audio import Waveform, encode


def wav(level: float, seed: int = 0) -> bytes:
    return encode(Waveform(tone(level, 0.8, seed=seed), 16_000), "wav")


def write_tar(path, members: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


@pytest.fixture
def audeter(tmp_path):
    root = tmp_path / "AUDETER"
    real = {"bona-fide/1089_1_0.wav": wav(-26, 1), "bona-fide/2300_1_0.wav": wav(-26, 2)}
    book, crowd = root / "audiobook", root / "crowdsource"
    write_tar(
        book / "tts/vits/test/v0.tar",
        {"test/1089_1_0.wav": wav(-30, 3), "test/2300_1_0.wav": wav(-31, 4)},
    )
    write_tar(book / "tts/vits/dev/v0.tar", {"dev/61_1_0.wav": wav(-32, 5)})
    write_tar(book / "vocoders/hifigan/test/v0.tar", {"test/1089_1_0.wav": wav(-33, 6)})
    write_tar(book / "tts/vits/bona-fide/v0.tar", real)
    write_tar(book / "vocoders/hifigan/bona-fide/v0.tar", real)
    write_tar(crowd / "tts/bark/test/v0.tar", {"test/99_2_0.wav": wav(-34, 7)})
    return root


def test_labels_systems_and_speakers_come_from_the_folders(audeter):
    clips = read_audeter(audeter)
    found = {clip.key: clip for clip in clips.clips}
    forged = found["audiobook/vocoders/hifigan/test/v0/1089_1_0"]
    assert (forged.system, forged.kind, forged.source) == ("hifigan", "vocoder", "audiobook")
    assert (forged.group, forged.split, forged.is_bonafide) == ("audiobook:1089", "test", False)
    real = [clip for clip in clips.clips if clip.is_bonafide]
    assert len(real) == 2 and {clip.split for clip in real} == {None}
    assert {clip.system for clip in real} == {"bonafide"}
    assert clips.notes == ("2 real clips are stored more than once and count once",)


def test_real_clips_belong_to_every_split(audeter):
    test = read_audeter(audeter).of_split("test")
    assert sorted(clip.system for clip in test.clips) == [
        *("bark", "bonafide", "bonafide", "hifigan", "vits", "vits"),
    ]
    scores = score_clips(contenders([Loudness()]), test).raw["loudness", "clean"]
    by_system = {clip.system: score for clip, score in zip(test.clips, scores, strict=True)}
    assert by_system["bonafide"] == pytest.approx(0.0, abs=0.2)
    assert by_system["hifigan"] == pytest.approx(-7.0, abs=0.2)
    assert by_system["bark"] == pytest.approx(-8.0, abs=0.2)


def test_a_part_of_it_will_do(audeter):
    clips = read_audeter(audeter / "audiobook" / "vocoders")
    assert {clip.system for clip in clips.clips} == {"hifigan", "bonafide"}
    assert is_audeter(audeter) and not is_audeter(audeter.parent / "nothing")


def test_tars_elsewhere_and_damaged_ones_are_refused(audeter, tmp_path):
    write_tar(tmp_path / "other" / "v0.tar", {"a.wav": wav(-26)})
    assert not is_audeter(tmp_path / "other")
    with pytest.raises(UsageError, match="does not lie in"):
        read_audeter(tmp_path / "other")
    with pytest.raises(UsageError, match="no clips"):
        read_audeter(tmp_path / "nothing")
    broken = audeter / "audiobook/tts/vits/test/v0.tar"
    broken.write_bytes(broken.read_bytes()[:1000])
    with pytest.raises(CorpusError, match=r"v0\.tar"):
        read_audeter(audeter)
