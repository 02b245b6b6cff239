"""What the audit reads (shards, lists), what it writes (text, JSON, HTML), its exit codes."""

from __future__ import annotations

import csv
import hashlib
import json
import re

import numpy as np
import pytest
import soundfile
from typer import Typer
from typer.testing import CliRunner

from forensics.auditing.html import as_html
from forensics.auditing.material import open_material
from forensics.auditing.run import audit
from forensics.cli.audit import audit as command
from forensics.errors import CorpusError, UsageError
from forensics.media.audio import Waveform, encode
from forensics.shards.format import Item, ItemMeta
from forensics.shards.writer import write_shard

RATE = 16_000


def noise(seed: int, level: float = 0.1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(0, level * rng.uniform(0.8, 1.2), RATE // 4).clip(-0.99, 0.99)


def make_items(start: int, count: int, split: str, spoof_level: float = 0.1) -> list[Item]:
    items = []
    for i in range(start, start + count):
        spoof = i % 2 == 1
        wave = Waveform(noise(i, spoof_level if spoof else 0.1).astype(np.float32), RATE)
        media = encode(wave, "wav")
        meta = ItemMeta(
            label="spoof" if spoof else "bonafide",
            modality="speech",
            system=("world", "espeak")[i // 2 % 2] if spoof else "bonafide",
            system_version="1",
            kind="vocoder" if spoof else "bonafide",
            source_id=f"u{i // 2}",
            group=f"{split}-{i // 4 % 6}",
            domain="d",
            split=split,  # pyright: ignore[reportArgumentType]
            seed=i,
            licence="CC0-1.0",
            parent="0" * 64,
            sha256=hashlib.sha256(media).hexdigest(),
        )
        key = hashlib.sha256(str(i).encode()).hexdigest()[:12]
        items.append(Item(key, "wav", media, meta))
    return items


@pytest.fixture
def shards(tmp_path):
    def make(spoof_level=0.1):
        folder = tmp_path / "corpus"
        for n, (start, split) in enumerate([(0, "train"), (48, "train"), (96, "test")]):
            items = make_items(start, 48, split, spoof_level)
            write_shard(folder / "shards", f"x-{n}", items, split=split, plan="p")  # pyright: ignore[reportArgumentType]
        return folder

    return make


@pytest.fixture
def listing(tmp_path):
    """Loose files and their list: `columns` besides path and label."""

    def make(columns=("speaker",), level=0.4, count=64):
        path = tmp_path / "list.csv"
        with path.open("w", newline="") as handle:
            rows = csv.writer(handle)
            rows.writerow(["path", "label", *columns])
            for i in range(count):
                spoof = i % 2 == 1
                name = f"{hashlib.sha256(str(i).encode()).hexdigest()[:8]}.wav"
                soundfile.write(tmp_path / name, noise(i, level if spoof else 0.1), RATE)
                extra = [f"spk{i // 2 % 8}" for _ in columns]
                rows.writerow([name, "fake" if spoof else "real", *extra])
        return path

    return make


@pytest.fixture
def run():
    app = Typer()
    app.command()(command)
    return lambda *args: CliRunner().invoke(app, [str(a) for a in args])


def levels(report):
    return next(family for family in report.families if family.family == "level")


def test_shards_are_read_whole_and_in_samples(shards):
    corpus = shards()
    material = open_material(corpus)
    assert len(material.entries) == 144
    wanted = [3, 50, 51, 143]
    for index, media in zip(wanted, material.read(wanted), strict=True):
        assert media.index == index and media.extension == "wav"
        digest = hashlib.sha256(media.content).hexdigest()  # pyright: ignore[reportArgumentType]
        assert digest == material.entries[index].sha256
    assert {e.position for e in material.entries} >= {0.0, 1.0}
    report = audit(corpus, max_items=100)
    assert report.items == 144 and 96 <= report.measured <= 100
    assert any("100" in note for note in report.notes)
    assert {c.status for c in report.checks} == {"pass"}


def test_a_leak_in_shards_fails_the_command_and_is_explained(shards, run, tmp_path):
    corpus, page = shards(0.4), tmp_path / "audit.html"
    result = run(corpus, "--report", page)
    assert result.exit_code == 4
    assert re.search(r"level +[01]\.\d+ .*FAIL", result.stdout)
    assert "conditioning.level_dbfs" in result.stdout
    assert "world" in result.stdout and "espeak" in result.stdout
    html = page.read_text()
    assert "data:image/png;base64,iVBOR" in html and "conditioning.level_dbfs" in html


def test_json_holds_results_and_resolved_settings(shards, run):
    result = run(shards(), "--json", "--limit", "0.9", "--limit", "silence=off", "--seed", 7)
    assert result.exit_code == 0, result.stdout
    found = json.loads(result.stdout)
    assert found["status"] == "pass"
    assert found["settings"]["limits"]["duration"] == 0.9
    assert found["settings"]["limits"]["silence"] is None
    assert found["settings"]["seed"] == 7
    assert {f["family"] for f in found["families"]} > {"name", "dc", "all judged", "everything"}


def test_limits_that_are_no_numbers_are_refused(shards, run):
    result = run(shards(), "--limit", "level=loud")
    assert isinstance(result.exception, UsageError) and result.exception.exit_code == 2


def test_unfinished_shards_are_left_out_and_damaged_ones_are_errors(shards):
    corpus = shards()
    (corpus / "shards" / "x-0.json").unlink()
    material = open_material(corpus)
    assert len(material.entries) == 96 and "1 shards without a sidecar" in material.notes[0]
    tar = corpus / "shards" / "x-1.tar"
    tar.write_bytes(tar.read_bytes()[: 40 * 512])
    with pytest.raises(CorpusError, match="x-1"):
        audit(corpus)


def test_a_list_of_loose_files_is_audited(listing, run):
    path = listing()
    result = run(path)
    assert result.exit_code == 4
    report = audit(path)
    assert levels(report).status == "fail" and report.groups == 8
    assert report.labels == {"bonafide": 32, "spoof": 32}
    assert not report.notes


def test_a_list_without_groups_says_what_that_means(listing):
    report = audit(listing(columns=()))
    assert report.groups == 64
    assert "every file counts as independent" in report.notes[0]


def test_files_that_cannot_be_read_are_counted_not_fatal(listing, tmp_path):
    path = listing(level=0.1)
    files = sorted(tmp_path.glob("*.wav"))
    files[0].write_bytes(b"junk")
    files[1].unlink()
    report = audit(path)
    found = next(check for check in report.checks if check.name == "unreadable")
    assert found.status == "warn" and len(found.details) == 2
    assert report.measured == 62


def test_unreadable_files_of_one_label_fail(listing, tmp_path):
    path = listing(level=0.1)
    with path.open(newline="") as handle:
        spoofs = [row["path"] for row in csv.DictReader(handle) if row["label"] == "fake"]
    for name in spoofs[:8]:
        (tmp_path / name).write_bytes(b"junk")
    assert "unreadable" in audit(path).failed


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"path,kind\na.wav,real\n", "no column 'label'"),
        (b"path,label\n", "lists no files"),
        (b"path,label\na.wav,maybe\n", "line 2"),
        (b"path,label\n,real\n", "line 2"),
        (b"\xff\xfe\x00path", "not a CSV that can be read"),
    ],
)
def test_lists_that_cannot_be_used_say_why(tmp_path, content, why):
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=why):
        audit(path)


def test_nothing_to_audit_is_a_usage_error(tmp_path):
    for corpus in (tmp_path, tmp_path / "absent", tmp_path / "absent.csv", []):
        with pytest.raises(UsageError):
            audit(corpus)


def test_the_page_escapes_hostile_names(listing):
    path = listing(columns=("speaker", "system"))
    text = path.read_text().replace("spk1,spk1", "spk1,<script>alert(1)</script>")
    path.write_text(text)
    html = as_html(audit(path))
    assert "<script" not in html and "&lt;script&gt;" in html


def test_conditioned_real_speech_passes_where_it_is_known_to(shared_data):
    """Fifty neural systems beside their real partners, all conditioned alike; edges still tell."""
    folder = shared_data("speech_dev")
    listing = folder / "manifest.csv"
    report = audit(listing, limits={"silence": None}, max_items=200)
    assert report.status != "fail", report.failed
    assert report.measured > 150
