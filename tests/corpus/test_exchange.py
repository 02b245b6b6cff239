"""The formats of the field: read with file and line in every error, written, and read again."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.corpus.exchange.export import export_corpus
from forensics.corpus.exchange.folders import read_folders, read_tp_gt
from forensics.corpus.exchange.lists import read_csv, read_imdl_benco
from forensics.corpus.exchange.read import read_labelled, told_format
from forensics.errors import CorpusError, ForensicsError, UsageError
from forensics.media.image import encode_image, mask_png, read_mask
from forensics.shards import Item, ItemMeta, write_shard

SIDE = 16


def mask(full: bool = True) -> bytes:
    plane = np.zeros((SIDE, SIDE), bool)
    plane[2:6, 3:9] = full
    return mask_png(plane)


def image(seed: int = 0) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (SIDE, SIDE, 3), dtype=np.uint8)
    return encode_image(pixels, "jpeg", 90)


def filled(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(mask() if name.endswith(".png") else image())
    return root


def fault(call, *arguments, **options) -> str:
    with pytest.raises(UsageError) as caught:
        call(*arguments, **options)
    assert caught.value.fix and "\n" not in str(caught.value)
    return str(caught.value)


def summary(found) -> list[tuple]:
    return [(r.path.name, r.label, r.mask.name if r.mask else None, r.group) for r in found]


class TestImdlBenco:
    def listed(self, tmp_path: Path, text: str) -> Path:
        filled(tmp_path, "a/1.jpg", "a/2.jpg", "m/1.png")
        path = tmp_path / "list.json"
        path.write_text(text)
        return path

    def test_pairs_and_negatives_relative_and_absolute(self, tmp_path):
        entries = [["a/1.jpg", "m/1.png"], [str(tmp_path / "a" / "2.jpg"), "Negative"]]
        path = self.listed(tmp_path, json.dumps(entries))
        assert summary(read_imdl_benco(path)) == [
            ("1.jpg", "spoof", "1.png", "1"),
            ("2.jpg", "bonafide", None, "2"),
        ]
        assert read_labelled(path) == read_imdl_benco(path)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ('[\n["a/1.jpg", "m/1.png"],\n["a/9.jpg", "Negative"]]', "line 3: there is no image"),
            ('[["a/1.jpg",\n"m/1.png"],\n\n["a/2.jpg", "m/2.png"]]', "line 4: there is no mask"),
            ('[["a/1.jpg"]]', "line 1: not a pair"),
            ('[\n["a/1.jpg", 3]]', "line 2: not a pair"),
            ('[["a/1.jpg", "m/1.png"]', "line 1: no comma or end"),
            ('[\n["a/1.jpg" "m/1.png"]]', "line 2: not JSON"),
            ('{"a": 1}', "not a JSON array"),
            ("", "not a JSON array"),
            ("[] []", "more follows"),
            ("[" * 100_000, "not JSON"),
        ],
    )
    def test_faults_name_file_and_line(self, tmp_path, text, says):
        told = fault(read_imdl_benco, self.listed(tmp_path, text))
        assert says in told and "list.json" in told

    def test_an_empty_list_is_not_taken_for_a_corpus(self, tmp_path):
        assert "lists no images" in fault(read_labelled, self.listed(tmp_path, "[ ]"))


class TestTpGt:
    def test_pairs_with_the_endings_that_masks_have_and_pristine_ones(self, tmp_path):
        filled(tmp_path, "Tp/a.jpg", "Tp/b.jpg", "Gt/a.png", "Gt/b_gt.png", "Au/z.jpg")
        assert summary(read_labelled(tmp_path)) == [
            ("a.jpg", "spoof", "a.png", "a"),
            ("b.jpg", "spoof", "b_gt.png", "b"),
            ("z.jpg", "bonafide", None, "z"),
        ]

    def test_stems_that_do_not_belong_together_are_refused_unless_told(self, tmp_path):
        filled(tmp_path, "Tp/a.jpg", "Tp/b.jpg", "Gt/x.png", "Gt/y.png")
        assert "a.jpg meets x.png" in fault(read_tp_gt, tmp_path)
        assert [r.mask.name for r in read_tp_gt(tmp_path, by_order=True)] == ["x.png", "y.png"]

    def test_a_missing_mask_does_not_shift_the_pairs(self, tmp_path):
        filled(tmp_path, "Tp/a.jpg", "Tp/b.jpg", "Tp/c.jpg", "Gt/a.png", "Gt/c.png")
        told = fault(read_tp_gt, tmp_path)
        assert "Tp has 3 files, Gt 2" in told and "b.jpg meets c.png" in told
        assert "b.jpg meets c.png" in fault(read_tp_gt, tmp_path, by_order=True)

    def test_folders_that_are_missing_or_empty(self, tmp_path):
        (tmp_path / "Tp").mkdir()
        assert "holds no images" in fault(read_labelled, tmp_path)
        filled(tmp_path, "Tp/a.jpg")
        assert "no folder" in fault(read_labelled, tmp_path)


class TestFolders:
    def test_masks_tell_the_label_where_nothing_else_does(self, tmp_path):
        filled(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "originals/a.jpg")
        (tmp_path / "masks" / "b.png").write_bytes(mask(full=False))
        assert summary(read_labelled(tmp_path)) == [
            ("a.jpg", "spoof", "a.png", "a"),
            ("b.jpg", "bonafide", None, "b"),
            ("a.jpg", "bonafide", None, "a"),
        ]

    def test_metadata_is_read(self, tmp_path):
        filled(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png", "originals/a.jpg")
        lines = [
            {"file_name": "images/a.jpg", "label": "tampered", "scene": "s1", "system": "x",
             "kind": "splice", "mode": "composite", "split": "dev", "license": "CC0-1.0"},
            {"image": "b.jpg", "label": "authentic"},
        ]  # fmt: skip
        text = "\n\n".join(json.dumps(line) for line in lines)
        (tmp_path / "metadata.jsonl").write_text(text)
        forged, real, original = read_folders(tmp_path)
        assert (forged.system, forged.kind, forged.mode) == ("x", "splice", "composite")
        assert (forged.group, forged.split, forged.licence) == ("s1", "dev", "CC0-1.0")
        assert real.label == "bonafide" and real.mask is None
        assert (original.group, original.split, original.label) == ("s1", "dev", "bonafide")

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            ("{", "line 2: not JSON"),
            ("[1]", "line 2: not a JSON object"),
            ('{"label": "fake"}', "line 2: no file_name"),
            ('{"file_name": "c.jpg"}', "line 2: there is no image c.jpg"),
            ('{"file_name": "a.jpg"}', "line 2: a.jpg has a line already"),
            ('{"file_name": "b.jpg"}', "line 2: b.jpg has neither a mask nor a label"),
            ('{"file_name": "b.jpg", "label": 1}', "line 2: the label '1' is not known"),
            ('{"file_name": "b.jpg", "label": "fake", "mode": "x"}', "line 2: mode 'x'"),
            ('{"file_name": "b.jpg", "label": "fake", "split": "val"}', "line 2: split 'val'"),
            (
                '{"file_name": "b.jpg", "label": "fake", "mask": "m/b.png"}',
                "line 2: there is no mask",
            ),
        ],
    )
    def test_faults_name_file_and_line(self, tmp_path, line, says):
        filled(tmp_path, "images/a.jpg", "images/b.jpg", "masks/a.png")
        (tmp_path / "metadata.jsonl").write_text(f'{{"file_name": "a.jpg"}}\n{line}\n')
        told = fault(read_folders, tmp_path)
        assert says in told and "metadata.jsonl" in told

    def test_orphans_and_twins_are_refused(self, tmp_path):
        filled(tmp_path, "images/a.jpg", "masks/b.png")
        assert "b.png belongs to no image" in fault(read_folders, tmp_path)
        filled(tmp_path, "images/b.jpg", "images/b.png")
        assert "have one stem" in fault(read_folders, tmp_path)

    def test_an_image_without_mask_or_label_is_refused(self, tmp_path):
        filled(tmp_path, "images/a.jpg")
        assert "neither a mask nor a label" in fault(read_labelled, tmp_path)


class TestCsv:
    def listed(self, tmp_path: Path, text: str) -> Path:
        filled(tmp_path, "a/1.jpg", "a/2.jpg", "m/1.png")
        path = tmp_path / "list.csv"
        path.write_text(text, encoding="utf-8")
        return path

    def test_rows(self, tmp_path):
        text = (
            "\ufeffpath, label ,mask,camera,kind,other\n"
            'a/1.jpg,Tampered,m/1.png,c1,"splice, pasted",x\n'
            "\n"
            "a/2.jpg,authentic,,c2,,\n"
        )
        first, second = read_labelled(self.listed(tmp_path, text))
        assert (first.label, first.group, first.kind) == ("spoof", "c1", "splice, pasted")
        assert first.mask == tmp_path / "m" / "1.png"
        assert (second.label, second.mask, second.kind) == ("bonafide", None, None)

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("", "no column 'path' (there are: none)"),
            ("path;label\n", "no column 'path' (there are: path;label)"),
            ("path,label\na/1.jpg,1\n", "line 2: the label '1' is not known"),
            ("path,label\n\na/9.jpg,real\n", "line 3: there is no image"),
            ("path,label\n,real\n", "line 2: no path"),
            ("path,label\na/1.jpg\n", "line 2: 1 values in 2 columns"),
            ("path,label,mask\na/1.jpg,fake,m/9.png\n", "line 2: there is no mask"),
            ('path,label\n"a/1.jpg,real\n', "line 2: "),
            ("path,label\na/\0.jpg,real\n", "line 2: "),
        ],
    )
    def test_faults_name_file_and_line(self, tmp_path, text, says):
        told = fault(read_csv, self.listed(tmp_path, text))
        assert says in told and "list.csv" in told

    def test_the_shared_forgeries_can_be_read(self, shared_data):
        found = read_labelled(shared_data("forgeries_dev") / "manifest.csv")
        forged = [record for record in found if record.label == "spoof"]
        assert len(forged) >= 20 and all(record.mask for record in forged)
        assert any(record.label == "bonafide" for record in found)


@settings(max_examples=150, deadline=None)
@given(data=st.binary(max_size=200), format=st.sampled_from(("list.json", "list.csv")))
def test_no_list_raises_anything_else(tmp_path_factory, data, format):
    path = tmp_path_factory.mktemp("lists") / format
    path.write_bytes(data)
    with pytest.raises(UsageError):
        read_labelled(path)


def test_what_is_no_list_says_what_would_be(tmp_path):
    assert "Tp/ and Gt/" in fault(told_format, tmp_path)
    assert "Tp/ and Gt/" in fault(read_labelled, tmp_path / "x.txt")
    assert "cannot be read" in fault(read_labelled, tmp_path / "x.csv")


def item(number: int, split: str, label: str, masked: bool = True) -> Item:
    media = image(number)
    meta = ItemMeta(
        label=label,
        modality="image",
        system="copymove" if label == "spoof" else "bonafide",
        system_version="1",
        kind="copymove" if label == "spoof" else "bonafide",
        source_id=f"s{number}",
        group=f"camera{number % 2}",
        domain="street",
        split=split,
        seed=number,
        params={"mode": "composite", "box": [3, 2, 6, 4]} if label == "spoof" else {},
        licence="CC0-1.0",
        parent="0" * 64,
        sha256=hashlib.sha256(media).hexdigest(),
        width=SIDE,
        height=SIDE,
    )
    has_mask = masked and label == "spoof"
    return Item(f"{number:04d}-aa", "jpg", media, meta, mask() if has_mask else None)


@pytest.fixture
def corpus(tmp_path) -> Path:
    """Three shards: two of train, one of test; four forged, four pristine, one without a mask."""
    folder = tmp_path / "corpus" / "shards"
    folder.mkdir(parents=True)
    for name, split, numbers in (
        ("x-000000", "train", (0, 1)),
        ("x-000001", "train", (2, 3)),
        ("x-000002", "test", (4, 5, 6, 7)),
    ):
        items = [item(n, split, "spoof" if n % 2 else "bonafide") for n in numbers]
        if split == "test":
            items.append(item(9, split, "spoof", masked=False))
        write_shard(folder, name, items, split=split, plan="p")
    return folder.parent


def read_back(folder: Path, format: str):
    return read_labelled(folder / "imdl_benco.json" if format == "imdl-benco" else folder)


@pytest.mark.parametrize("format", ("imdl-benco", "tp-gt", "folders"))
def test_what_is_exported_reads_as_it_was(corpus, tmp_path, format):
    out = tmp_path / "out"
    done = export_corpus(corpus, format, out)
    without_mask = 1 if format == "folders" else 0
    assert done.written == {"train": 4, "test": 4 + without_mask}
    assert done.left_out == 1 - without_mask
    for split, numbers in (("train", range(4)), ("test", range(4, 8))):
        found = {record.path.stem: record for record in read_back(out / split, format)}
        assert len(found) == len(numbers) + (without_mask if split == "test" else 0)
        for number in numbers:
            record = found[f"{number:04d}-aa"]
            assert record.path.read_bytes() == image(number)
            assert record.label == ("spoof" if number % 2 else "bonafide")
            if number % 2:
                np.testing.assert_array_equal(read_mask(record.mask), read_mask(mask()))
            else:
                assert record.mask is None
            if format == "folders":
                assert (record.group, record.split) == (f"camera{number % 2}", split)
                assert record.mode == ("composite" if number % 2 else None)
                assert record.licence == "CC0-1.0"


def test_folders_keep_all_metadata_and_load_as_an_imagefolder(corpus, tmp_path):
    export_corpus(corpus, "folders", tmp_path / "out", "test")
    folder = tmp_path / "out" / "test"
    lines = [json.loads(line) for line in (folder / "metadata.jsonl").read_text().splitlines()]
    assert [line["source_id"] for line in lines] == ["s4", "s5", "s6", "s7", "s9"]
    assert lines[1]["params"] == {"mode": "composite", "box": [3, 2, 6, 4]}
    assert all((folder / line["file_name"]).is_file() for line in lines)
    assert not (tmp_path / "out" / "train").exists()


def test_export_refuses_what_it_would_spoil_or_cannot_hold(corpus, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept.txt").write_text("x")
    assert "not empty" in fault(export_corpus, corpus, "tp-gt", out)
    assert [p.name for p in out.iterdir()] == ["kept.txt"]
    assert "not a folder" in fault(export_corpus, corpus, "tp-gt", out / "kept.txt")
    assert "holds no items" in fault(export_corpus, corpus, "tp-gt", tmp_path / "new", "dev")
    with pytest.raises(CorpusError, match="no corpus"):
        export_corpus(tmp_path / "nothing", "tp-gt", tmp_path / "new")
    speech = item(0, "train", "bonafide")
    speech = Item(speech.key, "flac", speech.media, speech.meta.model_copy(
        update={"modality": "speech"}
    ))  # fmt: skip
    (tmp_path / "speech" / "shards").mkdir(parents=True)
    write_shard(tmp_path / "speech" / "shards", "x-000000", [speech], split="train", plan="p")
    assert "is speech" in fault(export_corpus, tmp_path / "speech", "tp-gt", tmp_path / "other")


def test_a_damaged_shard_is_an_error(corpus, tmp_path):
    tar = corpus / "shards" / "x-000001.tar"
    tar.write_bytes(tar.read_bytes()[:700])
    with pytest.raises(ForensicsError, match="x-000001"):
        export_corpus(corpus, "folders", tmp_path / "out")


def test_the_command(corpus, tmp_path):
    command = [sys.executable, "-m", "forensics", "export", str(corpus)]
    options = ["--format", "tp-gt", "--out", str(tmp_path / "out"), "--split", "test", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["written"] == {"test": 4} and told["left_out_without_mask"] == 1
    assert "exporting: 5/5 images" in done.stderr
    again = subprocess.run([*command, *options], capture_output=True, text=True)
    assert again.returncode == 2 and "not empty" in again.stderr
