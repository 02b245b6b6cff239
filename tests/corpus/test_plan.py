"""Plans: what decides them, what does not, and that no group ever crosses a split."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forensics.corpus.item import Source
from forensics.corpus.modality import read_plan
from forensics.corpus.names import item_key, item_seed, source_id
from forensics.corpus.plan import require_systems
from forensics.corpus.recipe import load_recipe
from forensics.corpus.speech.plan import make_plan
from forensics.corpus.speech.recipe import SpeechRecipe
from forensics.corpus.speech.utterance import Utterance
from forensics.errors import MissingRequirement, UsageError


def utterance(number: int, group: str, **fields) -> Utterance:
    path = f"clip{number}.wav"
    given_fields = {"domain": "home", "duration_s": 3.0, "sha256": "0" * 64, **fields}
    return Utterance(id=source_id(path), path=path, group=group, **given_fields)


def recipe(**fields) -> SpeechRecipe:
    return SpeechRecipe.model_validate(
        {
            "name": "small",
            "version": 1,
            "modality": "speech",
            "summary": "for tests",
            "sentences": "x.txt",
            "systems": ["espeak"],
            "conditions": {},
            "utterances_per_shard": 3,
            **fields,
        }
    )


def plan_of(groups: list[str], **fields):
    utterances = [utterance(i, group) for i, group in enumerate(groups)]
    return make_plan(recipe(**fields), ["A sentence."], Source(root=Path(), items=utterances))


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1, max_size=60))
@settings(max_examples=40, deadline=None)
def test_no_group_crosses_a_split_and_nothing_is_lost(groups):
    plan = plan_of(groups)
    split_of: dict[str, set[str]] = {}
    planned = [u for shard in plan.shards for u in shard.utterances]
    for u in planned:
        split_of.setdefault(u.source.group, set()).add(u.split)
    assert all(len(splits) == 1 for splits in split_of.values())
    assert sorted(u.source.id for u in planned) == sorted(
        source_id(f"clip{i}.wav") for i in range(len(groups))
    )
    assert all(len(shard.utterances) <= 3 for shard in plan.shards)


def test_shares_are_met_where_groups_allow():
    plan = plan_of([f"g{i}" for i in range(100)])
    counts = {"train": 0, "dev": 0, "test": 0}
    for shard in plan.shards:
        counts[shard.split] += len(shard.utterances)
    assert counts == {"train": 70, "dev": 15, "test": 15}


def test_the_hash_covers_recipe_source_and_nothing_else():
    groups = [f"g{i}" for i in range(6)]
    base = plan_of(groups)
    assert plan_of(groups).hash == base.hash
    assert plan_of(groups, seed=1).hash != base.hash
    assert plan_of(groups[:-1]).hash != base.hash
    assert (
        plan_of(groups, systems=[{"use": "espeak", "params": {"voices": ["en-gb"]}}]).hash
        != base.hash
    )
    # A system that cannot run here changes nothing in what is built.
    assert plan_of(groups, systems=["espeak"], missing="skip").systems == base.systems


def test_a_source_that_splits_a_speaker_is_refused():
    source = Source(
        root=Path(),
        items=[utterance(0, "a", split="train"), utterance(1, "a", split="test")],
    )
    with pytest.raises(UsageError, match="'a' is in the splits train and test"):
        make_plan(recipe(), ["A sentence."], source)


def test_a_source_split_holds_for_the_whole_speaker():
    source = Source(root=Path(), items=[utterance(0, "a", split="test"), utterance(1, "a")])
    plan = make_plan(recipe(), ["A sentence."], source)
    assert {shard.split for shard in plan.shards} == {"test"}


def test_nothing_that_can_run_is_an_error():
    with pytest.raises(MissingRequirement, match="lyra"):
        require_systems(plan_of(["a"], systems=["lyra"]))
    plan = plan_of(["a"], systems=["espeak", "lyra"])
    assert [m.name for m in plan.missing] == ["lyra"] and plan.missing[0].fixes


def test_systems_may_be_kept_out_of_a_split():
    systems = ["espeak", {"use": "espeak", "name": "unseen", "splits": ["test"]}]
    plan = plan_of([f"g{i}" for i in range(20)], systems=systems)
    for shard in plan.shards:
        names = {name for u in shard.utterances for name in plan.members(u)}
        assert ("unseen" in names) == (shard.split == "test")


def test_enough_text_is_chosen_for_long_recordings():
    sentences = [f"This is sentence number {i}, which is not long." for i in range(40)]
    source = Source(root=Path(), items=[utterance(0, "a", duration_s=10.0)])
    plan = make_plan(recipe(), sentences, source)
    assert 140 <= len(plan.shards[0].utterances[0].text) < 220


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_keys_say_nothing(source, one, other):
    key = item_key(source, one)
    assert re.fullmatch(r"[0-9a-f]{12}-[0-9a-f]{12}", key)
    assert (item_key(source, other) == key) == (one == other)


@given(st.integers(0, 2**62), st.text(), st.text())
def test_seeds_fit_numpy_and_torch(seed, name, other):
    value = item_seed(seed, name)
    assert 0 <= value < 2**63
    assert value == item_seed(seed, name)
    assert (value == item_seed(seed, other)) == (name == other)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("systems: []", "systems"),
        ("systems: [espeak, espeak]", "named twice"),
        ("systems: [bonafide]", "no system may be named"),
        ("splits: {train: -1}", "positive"),
        ("colour: blue", "colour"),
        ("conditions: {probability: 1, choose: [{use: nothing}]}", "no condition 'nothing'"),
        ("conditions: {probability: 1, choose: [{use: noise, params: {x: 1}}]}", "noise"),
        ("version: [", "not YAML"),
        ("timeout_s: .inf", "finite"),
        ("conditioning: {band_hz: [0, 7400]}", "band_hz"),
        ("conditioning: {band_hz: [7400, 40]}", "band_hz"),
        ("conditioning: {cut_share: [1.5, 2.0]}", "cut_share"),
        ("conditioning: {level_dbfs: [-20, -32]}", "level_dbfs"),
        ("conditioning: {min_s: 20}", "min_s"),
    ],
)
def test_bad_recipes_say_what_is_wrong(change, complaint, tmp_path, make_recipe):
    path = make_recipe("[espeak]")
    field = change.partition(":")[0]
    kept = [line for line in path.read_text().splitlines() if not line.startswith(f"{field}:")]
    path.write_text("\n".join([*kept, change]))
    with pytest.raises(UsageError, match=complaint):
        load_recipe(str(path))


def test_plans_of_older_corpora_keep_their_hash():
    """A plan as an earlier version wrote it: read as it stands, and made again byte for byte."""
    path = Path(__file__).with_name("speech_plan.json")
    plan = read_plan(str(path))
    assert plan.hash == "8059e549392b274abe67792ddbad396f5b1e70a8e41443a8a19dfce1a2f509ba"
    utterances = sorted(
        (u.source for shard in plan.shards for u in shard.families), key=lambda u: u.id
    )
    sentences = ["One sentence.", "Another sentence, somewhat longer."]
    again = make_plan(plan.recipe, sentences, Source(Path(), utterances))
    # Engines and packages of this machine are not those of the machine that wrote it.
    same = again.model_copy(update={"systems": plan.systems, "road": plan.road})
    assert same.sealed().hash == plan.hash
