"""Corpora in which exactly one thing leaks: the audit must name it, and nothing else."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable

import numpy as np
import pytest
import soundfile

from forensics.auditing.features import ItemFacts
from forensics.auditing.judge import EVERYTHING, JUDGED, Judge
from forensics.auditing.material import Entry
from forensics.auditing.report import AuditReport, Settings, as_text
from forensics.auditing.run import audit
from forensics.auditing.speech_features import SPEECH
from forensics.errors import UsageError
from forensics.shards.format import Failure, Item, ItemMeta
from forensics.shards.writer import write_shard

RATE = 16_000
GROUPS = 10


def voice(rng: np.random.Generator, seconds: float) -> np.ndarray:
    """Syllables of buzz and hiss over a noise floor; every length and level is label-blind."""
    t = np.arange(round(seconds * RATE)) / RATE
    phase = 2 * np.pi * np.cumsum(rng.uniform(90, 200) * (1 + 0.1 * np.sin(5 * t))) / RATE
    buzz = sum(np.sin(k * phase) / k for k in range(1, 9))
    envelope = np.abs(np.sin(2 * np.pi * 3 * t + 0.5)) + 0.03
    mix = envelope * (buzz + 0.3 * rng.standard_normal(len(t)))
    mix += 0.01 * rng.standard_normal(len(t))
    mix -= mix.mean()
    return mix / np.sqrt(np.mean(mix**2)) * 10 ** (rng.uniform(-28, -22) / 20)


def wav(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    pcm = np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
    soundfile.write(buffer, pcm, RATE, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def make_item(
    number: int, media: bytes, spoof: bool, system: str = "", key: str = "", **changes: object
) -> Item:
    meta = ItemMeta(
        label="spoof" if spoof else "bonafide",
        modality="speech",
        system=(system or "melgan") if spoof else "bonafide",
        system_version="1",
        kind="vocoder" if spoof else "bonafide",
        source_id=f"utterance-{number // 2}",
        group=f"speaker-{number // 2 % GROUPS}",
        domain="reading",
        split="train",
        seed=number,
        licence="CC0-1.0",
        parent="0" * 64,
        sha256=hashlib.sha256(media).hexdigest(),
        language="en",
    )
    named = key or hashlib.sha256(str(number).encode()).hexdigest()[:16]
    return Item(named, "wav", media, meta.model_copy(update=changes))


Change = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def corpus(change: Change | None = None, count: int = 60, seed: int = 0) -> list[Item]:
    """Pairs of bona fide and spoof items; `change` is done to the samples of the spoof ones."""
    rng = np.random.default_rng(seed)
    items = []
    for number in range(count):
        spoof = number % 2 == 1
        samples = voice(rng, rng.uniform(0.8, 1.1))
        if spoof and change:
            samples = change(samples, rng)
        items.append(make_item(number, wav(samples), spoof))
    return items


def failed_families(report: AuditReport) -> set[str]:
    alone = {f.family for f in report.families if f.status == "fail"}
    return alone - {JUDGED, EVERYTHING}


def longer(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    level = np.sqrt(np.mean(samples**2))
    grown = voice(rng, rng.uniform(1.4, 1.7))
    return grown * level / np.sqrt(np.mean(grown**2))


def silent_start(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    quiet = 0.0005 * rng.standard_normal(round(0.15 * RATE))
    return np.concatenate([quiet, samples])[: len(samples)]


def zeros_inside(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    holed = samples.copy()
    at = len(holed) // 2
    holed[at : at + round(0.005 * RATE)] = 0
    return holed


def twelve_bits(samples: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.round(samples * 2048) * 16 / 32767


LEAKS: dict[str, tuple[Change, str]] = {
    "duration": (longer, "duration.seconds"),
    "level": (lambda samples, rng: samples * 10 ** (9 / 20), "level.rms_dbfs"),
    "dc": (lambda samples, rng: samples + 0.006, "dc.offset"),
    "silence": (silent_start, "silence.leading_s"),
    "container": (twelve_bits, "container.bits_used"),
}


@pytest.mark.parametrize("family", LEAKS)
def test_one_leak_is_named_alone(family):
    change, feature = LEAKS[family]
    report = audit(corpus(change))
    assert failed_families(report) == {family}, as_text(report)
    leak = next(f for f in report.families if f.family == family)
    assert leak.auc is not None and leak.auc > 0.97
    assert leak.evidence is not None and leak.evidence.feature.startswith(family)
    if family != "container":  # the last bit gives it away as well
        assert leak.evidence.feature == feature
    assert report.exit_code == 4 and family in report.failed
    text = as_text(report)
    assert "FAIL" in text and (leak.remedy or "?") in text


def test_digital_zeros_are_named_as_silence():
    report = audit(corpus(zeros_inside))
    assert failed_families(report) == {"silence"}, as_text(report)
    leak = next(f for f in report.families if f.family == "silence")
    assert leak.evidence is not None and "zero" in leak.evidence.feature
    assert "silence_in_one_label" in report.failed


def test_a_telling_name_is_a_leak():
    items = [
        make_item(i, item.media, i % 2 == 1, key=f"{'real' if i % 2 == 0 else 'fake'}-{i:04d}")
        for i, item in enumerate(corpus())
    ]
    report = audit(items)
    assert failed_families(report) == {"name"}, as_text(report)


def test_a_language_of_one_label_only_is_a_leak():
    items = [
        make_item(i, item.media, i % 2 == 1, language="de" if i % 2 else "en")
        for i, item in enumerate(corpus())
    ]
    report = audit(items)
    assert failed_families(report) == {"metadata"}
    assert "'de' (100%)" in as_text(report)


def test_channel_conditions_that_follow_the_label_are_a_leak():
    items = []
    for i, item in enumerate(corpus()):
        rng = np.random.default_rng(i)
        drawn = {"use": "noise", "snr_db": rng.uniform(10, 20) - 8 * (i % 2)}
        items.append(make_item(i, item.media, i % 2 == 1, conditions=(drawn,)))
    report = audit(items)
    assert failed_families(report) == {"metadata"}
    leak = next(f for f in report.families if f.family == "metadata")
    assert leak.evidence is not None and leak.evidence.feature == "metadata.noise.snr_db"


def test_the_same_audit_twice_gives_the_same_numbers():
    items = corpus(lambda samples, rng: samples * 1.2, count=48)
    first, second = (audit(items).model_dump(exclude={"seconds"}) for _ in range(2))
    assert first == second


def test_one_leaking_system_among_honest_ones_fails_and_is_named():
    """In the pool its leak is thin: one system in four, and the systems weigh the same."""
    rng = np.random.default_rng(3)
    items = []
    for number in range(200):
        spoof = number % 2 == 1
        system = f"system-{number // 2 % 4}"
        samples = voice(rng, 0.6)
        if spoof and system == "system-2":
            samples = samples * 10 ** (7 / 20)
        # Ten groups would tie each system to certain groups: let groups run across them.
        group = f"speaker-{number // 8 % GROUPS}"
        items.append(make_item(number, wav(samples), spoof, system, group=group))
    report = audit(items, limit=0.65)
    by_name = {system.system: system for system in report.systems}
    failed = {leak.family for leak in by_name["system-2"].leaks if leak.status == "fail"}
    assert "level" in failed
    assert report.exit_code == 4
    for other in ("system-0", "system-1", "system-3"):
        assert not [leak for leak in by_name[other].leaks if leak.status == "fail"]
    assert "system-2: level" in report.failed


@pytest.fixture(scope="module")
def clean_rows():
    rng = np.random.default_rng(11)
    items = [make_item(i, wav(voice(rng, rng.uniform(0.4, 0.6))), False) for i in range(300)]
    facts = [ItemFacts(item.key, "wav", None, {"language": "en"}) for item in items]
    return [SPEECH.extract(item.media, f) for item, f in zip(items, facts, strict=True)]


def judge_random_labels(rows: list, seed: int, groups: int = 30) -> set[str]:
    """Statuses of the judged families when the labels are drawn by lot."""
    rng = np.random.default_rng(seed)
    entries = [
        Entry(
            key=str(i),
            label=label,
            system="melgan" if label == "spoof" else "bonafide",
            group=f"speaker-{i % groups}",
            source_id=str(i),
            split=None,
            sha256=None,
            fields={},
        )
        for i, label in enumerate(rng.choice(["spoof", "bonafide"], len(rows)).tolist())
    ]
    limits = {f.name: None if f.slack is None else 0.6 + f.slack for f in SPEECH.families}
    settings = Settings(
        limits=limits | {JUDGED: 0.7},
        max_items=1,
        seed=seed,
        folds=5,
        resamples=200,
        min_groups=4,
        min_items=20,
    )
    leaks = list(Judge(entries, rows, SPEECH, settings).families())
    assert all(leak.auc is not None for leak in leaks)
    return {leak.status for leak in leaks if leak.limit is not None}


def test_labels_drawn_by_lot_pass(clean_rows):
    outcomes = [judge_random_labels(clean_rows, seed) for seed in range(4)]
    assert not any("fail" in outcome for outcome in outcomes)
    assert sum(outcome == {"pass"} for outcome in outcomes) >= 3


@pytest.mark.parametrize(
    ("keep", "why"),
    [
        (lambda item: int(item.meta.group[-1]) < 3, "3 independent groups"),
        (lambda item: item.meta.label == "spoof" or item.meta.seed < 30, "15 bonafide items"),
        (lambda item: item.meta.label == "spoof", "0 bonafide items"),
    ],
)
def test_too_little_to_judge_is_never_a_pass(keep, why):
    items = [item for item in corpus(LEAKS["level"][0], count=160) if keep(item)]
    report = audit(items)
    assert report.status == "inconclusive" and report.exit_code == 3
    reasons = {f.reason for f in report.families if f.limit is not None}
    assert len(reasons) == 1 and why in reasons.pop()
    assert "INCONCLUSIVE" in as_text(report)


def test_one_source_shared_by_every_group_leaves_nothing_to_compare():
    items = [
        make_item(i, item.media, i % 2 == 1, source_id="the-same-prompt")
        for i, item in enumerate(corpus(LEAKS["level"][0]))
    ]
    report = audit(items)
    assert report.status == "inconclusive"
    assert "1 independent groups" in (report.families[0].reason or "")


def check(report: AuditReport, name: str):
    return next(found for found in report.checks if found.name == name)


def test_groups_and_sources_in_two_splits_fail():
    items = [
        make_item(i, item.media, i % 2 == 1, split="train" if i < 34 else "test")
        for i, item in enumerate(corpus())
    ]
    report = audit(items)
    assert check(report, "group_overlap").status == "fail"
    assert check(report, "source_overlap").status == "pass"
    assert report.exit_code == 4
    items[1] = make_item(1, items[1].media, True, split="test")
    crossing = check(audit(items), "source_overlap")
    assert crossing.status == "fail" and "utterance-0" in crossing.details[0]


def test_the_same_bytes_under_two_labels_fail():
    items = corpus()
    items[1] = make_item(1, items[0].media, True)
    found = check(audit(items), "duplicates_across_labels")
    assert found.status == "fail" and items[0].key in found.details[0]


def test_rare_silence_of_one_label_is_found_where_the_auc_sees_nothing():
    items = corpus(lambda s, rng: zeros_inside(s, rng) if rng.random() < 0.25 else s, count=160)
    report = audit(items, limits={"silence": 0.7})
    assert failed_families(report) == set()
    assert check(report, "silence_in_one_label").status == "fail"


def test_what_a_system_misses_counts(tmp_path):
    items = corpus()
    failures = [
        Failure(key=f"m-{i}", source_id=f"m-{i}", system="melgan", reason="timeout")
        for i in range(20)
    ]
    write_shard(tmp_path / "shards", "x-0", items, split="train", plan="p", failures=failures)
    report = audit(tmp_path)
    found = check(report, "missing_by_system")
    assert found.status == "fail" and "melgan: 20 failed, 40.0%" in found.details[0]


def test_limits_can_be_set_by_family():
    items = corpus(LEAKS["level"][0])
    assert audit(items, limits={"level": None}).status != "fail"
    assert failed_families(audit(items, limit=0.9)) == {"level"}
    with pytest.raises(UsageError, match="there is no family 'loudness'"):
        audit(items, limits={"loudness": 0.7})
    with pytest.raises(UsageError, match=r"from 0\.5 on"):
        audit(items, limit=0.4)
    with pytest.raises(UsageError, match="no family is left"):
        audit(items, limits={f.name: None for f in SPEECH.families})


def test_videos_have_no_trivial_features_yet():
    with pytest.raises(UsageError, match="no trivial features for video"):
        audit([make_item(0, b"x", False, modality="video")])
