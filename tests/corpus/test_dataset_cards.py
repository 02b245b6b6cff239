"""The shipped dataset cards, and the schema that they keep."""

from __future__ import annotations

import re

import pytest
import yaml

from forensics import resources
from forensics.corpus.card import DatasetCard, load_card, read_card
from forensics.errors import UsageError
from forensics.generators.base import GENERATORS

FOLDERS = sorted(path for path in resources.share("datasets").iterdir() if path.is_dir())
NAMES = [folder.name for folder in FOLDERS]
TTS = {"bark", "chattts", "cosyvoice", "f5_tts", "fish_speech", "openvoice", "sparktts"}
TTS |= {"vits", "xtts", "yourtts", "zonos"}
VOCODERS = {"bigvgan", "bigvsan", "full_band_melgan", "hifigan", "melgan", "univnet", "vocos"}
VOCODERS |= {"multi_band_melgan", "parallel_wavegan", "style_melgan"}


@pytest.mark.parametrize("folder", FOLDERS, ids=NAMES)
def test_each_folder_is_a_card_for_people_and_machines(folder):
    card = read_card(folder / "dataset.yaml")
    assert card.name == folder.name
    readme = (folder / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("# ") and len(readme) > 300
    named = re.sub(r"[-_ ]", "", readme.lower())
    assert re.sub(r"_dataset|_", "", card.name) in named.replace("'", "")


def test_the_benchmarks_of_the_field_are_there():
    assert set(NAMES) >= {
        "audeter", "librispeech", "common_voice", "mls", "peoples_speech", "in_the_wild",
        "asvspoof2019", "asvspoof2021", "asvspoof5", "wavefake", "for_dataset", "codecfake",
        "mlaad",
    }  # fmt: skip
    assert resources.names("datasets") == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_overlaps_are_told_on_both_sides(name):
    for other in load_card(name).overlaps:
        assert name in load_card(other).overlaps


@pytest.mark.parametrize("name", NAMES)
def test_labels_say_what_the_corpus_holds(name):
    card = load_card(name)
    read = set(card.reads.label.values)
    wanted = {"both": {"bonafide", "spoof"}, "bonafide": {"bonafide"}, "spoof": {"spoof"}}
    assert read >= wanted[card.holds]


def test_all_systems_of_audeter_are_in_the_card_and_the_registry():
    systems = {system.name: system for system in load_card("audeter").systems}
    assert set(systems) == TTS | VOCODERS and len(systems) == 21
    for name, system in systems.items():
        cls = GENERATORS.get(system.generator)
        assert cls.kind == system.kind == ("tts" if name in TTS else "vocoder")
        external = ".external." in cls.__module__
        assert (system.runs == "elsewhere") == external


def test_audeters_table_says_what_the_card_and_the_registry_say():
    readme = (resources.share("datasets") / "audeter" / "README.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in readme.splitlines()
        if line.startswith("| ") and "`" in line and line.count("|") == 8
    ]
    card = load_card("audeter")
    expected = [
        [s.name, s.kind, f"`{s.generator}`", s.runs, s.needs, s.proof,
         GENERATORS.get(s.generator).licence]
        for s in card.systems
    ]  # fmt: skip
    assert rows == expected


def test_audeter_warns_of_its_leakage():
    assert "in_the_wild" in load_card("audeter").overlaps
    for name in ("audeter", "in_the_wild"):
        readme = (resources.share("datasets") / name / "README.md").read_text(encoding="utf-8")
        assert "`celebrity`" in readme and "must not be tested" in readme.replace("\n> ", " ")


GOOD = {
    "name": "a", "title": "A", "modality": "speech", "holds": "both", "licence": "MIT",
    "homepage": "https://example.org", "get": ["x"], "languages": ["en"], "audio": "wav",
    "reads": {"index": "a.csv", "label": {"where": "column", "values": {"spoof": ["1"]}}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"licence": None}, "licence"),
        ({"surprise": 1}, "surprise"),
        ({"homepage": "ftp://x"}, "homepage"),
        ({"reads": {"index": "a", "label": {"where": "x", "values": {"fake": ["1"]}}}}, "reads"),
        ({"name": "A B"}, "name"),
    ],
)
def test_a_wrong_card_names_its_field(tmp_path, change, field):
    file = tmp_path / "dataset.yaml"
    file.write_text(yaml.safe_dump(GOOD))
    assert isinstance(read_card(file), DatasetCard)
    file.write_text(yaml.safe_dump(GOOD | change))
    with pytest.raises(UsageError, match=field):
        read_card(file)


def test_a_missing_or_broken_file_is_said(tmp_path):
    with pytest.raises(UsageError, match="no dataset card"):
        read_card(tmp_path / "dataset.yaml")
    (tmp_path / "dataset.yaml").write_text("a: [")
    with pytest.raises(UsageError, match="not YAML"):
        read_card(tmp_path / "dataset.yaml")
    with pytest.raises(UsageError, match="there is no dataset"):
        load_card("nothing")


IMAGE_NAMES = {
    "surfitr", "casia", "imd2020", "comofod", "coverage", "columbia", "nist16", "dso1", "tgif",
    "opensdi",
}  # fmt: skip


def test_the_image_benchmarks_are_there_and_say_what_their_masks_mark():
    cards = {name: load_card(name) for name in NAMES}
    assert {name for name, card in cards.items() if card.modality == "image"} >= IMAGE_NAMES
    for name in IMAGE_NAMES:
        assert cards[name].images and cards[name].masks and cards[name].unverified
    assert "SOURCE" in (cards["comofod"].masks or "")
    assert "RGB" in (cards["imd2020"].masks or "")
    readme = (resources.share("datasets") / "surfitr" / "README.md").read_text(encoding="utf-8")
    assert "LanPaint marks what is to be edited with 0" in readme and "**Unknown**" in readme


def test_the_benchmarks_of_faces_say_who_may_use_them_and_what_overlaps():
    faces = {"vipbench", "idimage", "faceforensics", "celeb_df_v2", "dfdc", "df40", "lfw", "orl"}
    assert faces <= set(NAMES)
    assert set(load_card("df40").overlaps) == {"faceforensics", "celeb_df_v2"}
    assert "not released" in load_card("idimage").licence
    assert "NC" in load_card("vipbench").licence and "NC" in load_card("df40").licence
    for name in faces:
        assert load_card(name).unverified
        readme = (resources.share("datasets") / name / "README.md").read_text(encoding="utf-8")
        assert "## Traps" in readme


@pytest.mark.parametrize(
    ("modality", "missing"),
    [("speech", "languages and audio"), ("image", "images and masks")],
)
def test_each_modality_has_fields_of_its_own(tmp_path, modality, missing):
    bare = {k: v for k, v in GOOD.items() if k not in ("languages", "audio")}
    file = tmp_path / "dataset.yaml"
    file.write_text(yaml.safe_dump(bare | {"modality": modality}))
    with pytest.raises(UsageError, match=f"{modality} needs {missing}"):
        read_card(file)
