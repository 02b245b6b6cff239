"""Files, folders, globs, standard input: what is judged, in which order, and once."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from forensics.media.inputs import expand_inputs


@pytest.fixture
def tree(tmp_path, monkeypatch):
    for name in ("b.wav", "a.flac", "deep/er/c.MP3", "deep/d.txt", "deep/p.png", ".hidden/x.wav"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (tmp_path / "._b.wav").write_bytes(b"x")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def names(*inputs, **options):
    return [item.name for item in expand_inputs(inputs, **options)]


def reasons(*inputs):
    return [item.problem and item.problem.reason for item in expand_inputs(inputs)]


def test_a_folder_gives_its_media_files_sorted(tree):
    assert names(".") == ["a.flac", "b.wav", "deep/er/c.MP3", "deep/p.png"]
    assert names(Path("deep")) == ["deep/er/c.MP3", "deep/p.png"]


def test_named_files_keep_their_order_and_their_names(tree):
    assert names("./b.wav", "deep/d.txt", "a.flac") == ["./b.wav", "deep/d.txt", "a.flac"]


def test_duplicates_are_kept_once(tree):
    assert names("b.wav", "./b.wav", str(tree / "b.wav"), "deep/../b.wav") == ["b.wav"]
    assert names("b.wav", ".")[:2] == ["b.wav", "a.flac"]
    assert names("gone.wav", "gone.wav") == ["gone.wav"]


def test_globs(tree):
    assert names("*.wav") == ["b.wav"]
    assert names("**/*.MP3") == ["deep/er/c.MP3"]
    assert names("**") == ["a.flac", "b.wav", "deep/er/c.MP3", "deep/p.png"]
    assert names("**/*.txt") == ["deep/d.txt"]
    assert names("*/?.t*") != ["deep/d.txt"]  # no plain extension: media files alone
    assert names(str(tree / "*.fl*")) == [str(tree / "a.flac")]


def test_a_name_with_brackets_is_a_file_before_it_is_a_pattern(tree):
    (tree / "take[1].wav").write_bytes(b"x")
    assert names("take[1].wav") == ["take[1].wav"]
    assert reasons("take[1].wav") == [None]


def test_what_matches_nothing_is_said(tree):
    (tree / "void").mkdir()
    assert reasons("*.aiff", "void", "") == ["not_found"] * 3
    assert names("gone.wav") == ["gone.wav"]  # the door says why


@pytest.mark.parametrize("url", ["https://example.org/a.wav", "s3://b/a.wav", "file:///a.wav"])
def test_urls_are_refused(tree, url):
    (item,) = expand_inputs([url])
    assert item.problem is not None
    assert item.problem.reason == "is_url"
    assert item.source is None


def test_a_local_file_that_looks_like_a_url_is_a_file(tree):
    (tree / "x:").mkdir()
    (tree / "x:" / "a.wav").write_bytes(b"x")
    assert reasons("x://a.wav") == [None]


def test_standard_input_is_one_file(tree):
    (item,) = expand_inputs(["-"], stdin=io.BytesIO(b"bytes"))
    assert (item.name, item.source) == ("-", b"bytes")
    assert names("-", "-", stdin=io.BytesIO(b"bytes")) == ["-"]


def test_too_much_standard_input_is_refused(tree, monkeypatch):
    monkeypatch.setattr("forensics.media.inputs.MAX_STDIN_BYTES", 4)
    (item,) = expand_inputs(["-"], stdin=io.BytesIO(b"bytes"))
    assert item.problem is not None
    assert item.problem.reason == "too_large"


def test_links_are_followed_to_files_but_not_round_in_circles(tree):
    (tree / "deep" / "up").symlink_to(tree)
    (tree / "deep" / "link.wav").symlink_to(tree / "b.wav")
    (tree / "deep" / "dangling.wav").symlink_to(tree / "gone")
    expected = ["deep/dangling.wav", "deep/er/c.MP3", "deep/link.wav", "deep/p.png"]
    assert names("deep") == expected


def test_odd_names_pass_through(tree):
    odd = ["new\nline.wav", 'quote".wav', "émoji🎤.wav", os.fsdecode(b"caf\xe9.wav"), "-x.wav"]
    for name in odd:
        with open(name, "wb") as file:  # noqa: PTH123
            file.write(b"x")
    assert names(*odd) == odd
    assert set(odd) <= set(names("."))


def test_names_that_no_file_can_have_pass_through(tree):
    assert names("a\0b.wav", "x" * 5000) == ["a\0b.wav", "x" * 5000]
