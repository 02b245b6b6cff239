"""Small files in the published formats; the line shapes are those of the data sets' own files."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from forensics.errors import UsageError
from forensics.evaluation.protocols import FORMATS, read_protocol, sniff

ASVSPOOF2019 = """\
LA_0039 LA_E_2834763 - A11 spoof
LA_0014 LA_E_8877452 - - bonafide
"""
ASVSPOOF2021_LA = """\
LA_0009 LA_E_9332881 alaw ita_tx A07 spoof notrim eval
LA_0020 LA_E_6866159 g722 loc_tx bonafide bonafide notrim progress
"""
ASVSPOOF2021_DF = (
    "LA_0023 DF_E_2000011 nocodec asvspoof A14 spoof notrim progress traditional_vocoder - - - -\n"
    "TEF2 DF_E_2000013 low_m4a vcc2020 Task1-team20 spoof notrim eval "
    "neural_vocoder_nonautoregressive Task1 team20 FF E\n"
    "LA_0043 DF_E_2000026 mp3m4a asvspoof - bonafide notrim eval bonafide - - - -\n"
)
ASVSPOOF5 = """\
E_1607 E_0009538969 M C05 3 - AC3 A30 spoof -
E_0417 E_0005486453 F - 0 - - bonafide bonafide -
"""
KEY = "filename\tcm-label\nE_0009538969\tspoof\nE_0005486453\tbonafide\n"
WILD = "file,speaker,label\n0.wav,Alec Guinness,spoof\n3.wav,Barack Obama,bona-fide\n"


def written(folder: Path, text: str, name: str = "protocol.txt") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_asvspoof_2019(tmp_path):
    spoof, real = read_protocol(written(tmp_path, ASVSPOOF2019)).clips
    assert (spoof.key, spoof.system, spoof.is_bonafide) == ("LA_E_2834763", "A11", False)
    assert (spoof.group, spoof.source, spoof.kind) == ("LA_0039", "", "")
    assert (real.system, real.kind, real.is_bonafide) == ("bonafide", "bonafide", True)


def test_asvspoof_2021(tmp_path):
    spoof, real = read_protocol(written(tmp_path, ASVSPOOF2021_LA)).clips
    assert (spoof.system, spoof.source, spoof.split) == ("A07", "ita_tx", "eval")
    assert (real.is_bonafide, real.split) == (True, "progress")
    traditional, neural, real = read_protocol(written(tmp_path, ASVSPOOF2021_DF)).clips
    assert (neural.source, neural.kind) == ("vcc2020", "neural_vocoder_nonautoregressive")
    assert (traditional.kind, traditional.group) == ("traditional_vocoder", "LA_0023")
    assert (real.system, real.source) == ("bonafide", "asvspoof")
    by_codec = read_protocol(written(tmp_path, ASVSPOOF2021_DF), columns={"source": "codec"})
    assert [clip.source for clip in by_codec.clips] == ["nocodec", "low_m4a", "mp3m4a"]
    with pytest.raises(UsageError, match="split 'test'") as error:
        by_codec.of_split("test")
    assert "eval, progress" in str(error.value)
    assert len(by_codec.of_split("eval").clips) == 2


@pytest.mark.parametrize("separator", [" ", "\t"])
@pytest.mark.parametrize("header", [False, True])
def test_asvspoof_5(tmp_path, separator, header):
    names = "SPEAKER_ID FLAC_FILE_NAME GENDER CODEC CODEC_Q CODEC_SEED ATTACK_TAG ATTACK_LABEL"
    text = f"{names} KEY TMP\n" * header + ASVSPOOF5
    spoof, real = read_protocol(written(tmp_path, text.replace(" ", separator))).clips
    assert (spoof.key, spoof.system, spoof.source) == ("E_0009538969", "A30", "C05")
    assert (spoof.group, spoof.is_bonafide, real.is_bonafide) == ("E_1607", False, True)


@pytest.mark.parametrize("header", [False, True])
def test_an_asvspoof_5_key(tmp_path, header):
    text = KEY if header else KEY.partition("\n")[2]
    spoof, real = read_protocol(written(tmp_path, text)).clips
    assert (spoof.key, spoof.is_bonafide, real.is_bonafide) == ("E_0009538969", False, True)
    assert "names no group" in read_protocol(written(tmp_path, text)).notes[0]


def test_in_the_wild_is_judged_within_speakers(tmp_path):
    spoof, real = read_protocol(written(tmp_path, WILD, "meta.csv")).clips
    assert (spoof.key, spoof.source, spoof.group) == ("0.wav", "Alec Guinness", "Alec Guinness")
    assert (real.is_bonafide, spoof.system) == (True, "")


def test_a_csv_with_columns_of_ones_own(tmp_path):
    text = (
        "path,label,system,kind,page,pair_id\n"
        'a/0.flac,Fake,hifigan,vocoder,demo-1,"p, 1"\n'
        "a/1.flac,real,bonafide:LJ,none,demo-1,p2\n"
        "a/2.flac,spoof,vits,tts,demo-2,p3\n"
    )
    path = written(tmp_path, text, "list.csv")
    one, two, _ = read_protocol(path).clips
    assert (one.source, one.group, one.system) == ("demo-1", "a/0.flac", "hifigan")
    assert (two.system, two.kind, two.is_bonafide) == ("bonafide", "bonafide", True)
    chosen = read_protocol(
        path, columns={"group": "page", "source": "kind"}, where={"page": "DEMO-1"}
    )
    assert [clip.group for clip in chosen.clips] == ["demo-1", "demo-1"]
    assert chosen.clips[0].source == "vocoder" and not chosen.notes
    with pytest.raises(UsageError, match="no column 'speaker'"):
        read_protocol(path, columns={"group": "speaker"})
    with pytest.raises(UsageError, match="no column 'shape'"):
        read_protocol(path, where={"shape": "round"})
    with pytest.raises(UsageError, match="no clips"):
        read_protocol(path, where={"page": "demo-9"})


def test_paths_lead_to_the_audio_folder_whatever_the_extension(tmp_path):
    audio = tmp_path / "flac"
    audio.mkdir()
    (audio / "LA_E_2834763.flac").touch()
    (audio / "LA_E_8877452.wav").touch()
    clips = read_protocol(written(tmp_path, ASVSPOOF2019), audio)
    assert list(clips.read([0, 1])) == [
        (0, audio / "LA_E_2834763.flac"),
        (1, audio / "LA_E_8877452.wav"),
    ]
    wild = read_protocol(written(tmp_path, WILD, "meta.csv"))
    assert list(wild.read([1])) == [(1, tmp_path / "3.wav")]
    kept = wild.where(lambda clip: clip.is_bonafide, "real ones")
    assert list(kept.read([0])) == [(0, tmp_path / "3.wav")]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "no format that is known"),
        ("# a comment\n", "no format that is known"),
        ("name,kind\na,b\n", "no format that is known"),
        (ASVSPOOF2019 + "LA_1 LA_E_3 - spoof\n", "line 3: 4 fields"),
        (ASVSPOOF2019 + "LA_1 LA_E_3 - A01 maybe\n", "line 3: path 'LA_E_3', label 'maybe'"),
        (ASVSPOOF2019 + ASVSPOOF2019, "twice"),
        ("path,label\na.wav\n", "line 2: 1 fields under 2 columns"),
        ("path,label\n,spoof\n", "line 2"),
        ("path,label\na.wav,1\n", "label '1'"),
        ("path,label\n", "lists no clips"),
        ('path,label\n"a\0b",spoof\n', "line 2"),
    ],
)
def test_what_cannot_be_read_says_where(tmp_path, text, what):
    with pytest.raises(UsageError, match=what):
        read_protocol(written(tmp_path, text))


def test_files_that_are_no_text_or_not_there(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="cannot be read"):
        read_protocol(tmp_path / "binary")
    with pytest.raises(UsageError, match="No such file"):
        read_protocol(tmp_path / "nothing")


def test_a_named_format_is_held_to(tmp_path):
    with pytest.raises(UsageError, match="asvspoof5 has 10"):
        read_protocol(written(tmp_path, ASVSPOOF2019), layout="asvspoof5")


word = st.text(st.characters(codec="ascii", exclude_categories=["Z", "C"]), min_size=1, max_size=9)
label = st.sampled_from(["bonafide", "spoof"])


@given(
    st.lists(st.tuples(word, word, word, label), min_size=1, max_size=8, unique_by=lambda r: r[1])
)
def test_any_2019_line_is_read_back(tmp_path_factory, rows):
    text = "".join(f"{s} {f} - {system} {key}\n" for s, f, system, key in rows)
    path = written(tmp_path_factory.mktemp("p"), text)
    clips = read_protocol(path, layout="asvspoof2019").clips
    assert [(c.group, c.key, c.is_bonafide) for c in clips] == [
        (s, f, key == "bonafide") for s, f, _, key in rows
    ]


cell = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@given(st.lists(st.tuples(cell, label, cell, cell), min_size=1, max_size=6))
def test_any_csv_is_read_back_or_refused(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("c") / "list.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["path", "label", "system", "page"])
        writer.writerows(rows)
    stripped = [
        (path.strip(), key, system.strip(), page.strip()) for path, key, system, page in rows
    ]
    names = [row[0] for row in stripped]
    if "" in names or len(set(names)) != len(names):
        with pytest.raises(UsageError):
            read_protocol(path)
    else:
        clips = read_protocol(path).clips
        assert [(c.key, c.source) for c in clips] == [(row[0], row[3]) for row in stripped]


@given(st.text(max_size=200))
def test_no_text_does_anything_but_read_or_refuse(tmp_path_factory, text):
    path = written(tmp_path_factory.mktemp("t"), text)
    for layout in (None, *(one for one in FORMATS if one != "audeter")):
        try:
            clips = read_protocol(path, layout=layout).clips
        except UsageError:
            continue
        assert all(clip.key for clip in clips)


@given(st.text(max_size=80))
def test_sniffing_names_a_format_or_refuses(text):
    try:
        assert sniff(text) in FORMATS
    except UsageError as error:
        assert "--format" in str(error)
