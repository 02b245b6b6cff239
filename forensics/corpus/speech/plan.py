"""The plan of a speech corpus: texts to read, and what the road depends on."""

from __future__ import annotations

from importlib.metadata import version

from forensics.corpus.item import Source
from forensics.corpus.names import BONAFIDE, item_seed
from forensics.corpus.plan import (
    Plan,
    PlannedShard,
    PlannedSource,
    assign_splits,
    resolve_systems,
    sliced,
)
from forensics.corpus.speech.conditioning import ROAD_VERSION
from forensics.corpus.speech.recipe import SpeechRecipe
from forensics.corpus.speech.utterance import CHARACTERS_PER_SECOND, Utterance
from forensics.generators.base import GENERATORS
from forensics.shards.format import Split


class PlannedUtterance(PlannedSource[Utterance]):
    """A source utterance with its split and the text that TTS systems read for it."""

    text: str
    text_origin: str
    language: str


class SpeechShard(PlannedShard[PlannedUtterance]):
    """One unit of work: all copies of a slice of utterances of one domain and split."""

    utterances: tuple[PlannedUtterance, ...]

    @property
    def families(self) -> tuple[PlannedUtterance, ...]:
        return self.utterances


class SpeechPlan(Plan[SpeechRecipe, SpeechShard, PlannedUtterance]):
    """Every copy of every utterance."""

    def members(self, planned: PlannedUtterance) -> list[str]:
        """Bona fide and every system of the split; a text without a recording has TTS only."""
        systems = self.systems_of(planned.split)
        if planned.source.text_only:
            return [system.name for system in systems if system.kind == "tts"]
        return [BONAFIDE, *(system.name for system in systems)]


def make_plan(recipe: SpeechRecipe, sentences: list[str], source: Source[Utterance]) -> SpeechPlan:
    """Expand.

    Raises:
        UsageError: wrong parameters, or a source whose groups cross its own splits.
        MissingRequirement: a channel condition lacks something.
    """
    for lack in recipe.conditions.check():
        raise lack
    systems, missing = resolve_systems(recipe, GENERATORS)
    splits = assign_splits(recipe, source.items)
    utterances = [
        _plan_utterance(recipe, sentences, utterance, splits[utterance.group])
        for utterance in source.items
    ]

    def order(planned: PlannedUtterance) -> tuple[int, str]:
        """One that mixes speakers."""
        return item_seed(recipe.seed, "order", planned.source.id), planned.source.id

    shards = tuple(
        SpeechShard(name=name, split=split, domain=domain, utterances=members)
        for name, split, domain, members in sliced(
            recipe.name, utterances, recipe.utterances_per_shard, order
        )
    )
    return SpeechPlan(
        recipe=recipe, systems=systems, missing=missing, road=_road_versions(), shards=shards
    ).sealed()


def _road_versions() -> dict[str, str]:
    """What may change a sample on the road; an upgrade in the middle of a build is another plan."""
    import soundfile

    packages = ("numpy", "scipy", "soxr", "soundfile")
    return {
        "road": ROAD_VERSION,
        "libsndfile": soundfile.__libsndfile_version__,
        **{package: version(package) for package in packages},
    }


def _plan_utterance(
    recipe: SpeechRecipe, sentences: list[str], utterance: Utterance, split: Split
) -> PlannedUtterance:
    if utterance.text:
        text, origin = utterance.text, "transcript"
    else:
        text, origin = _pick_text(recipe, sentences, utterance), "sentences"
    return PlannedUtterance(
        source=utterance,
        split=split,
        text=text,
        text_origin=origin,
        language=utterance.language or recipe.language if utterance.text else recipe.language,
        licence=utterance.licence or recipe.licence,
    )


def _pick_text(recipe: SpeechRecipe, sentences: list[str], utterance: Utterance) -> str:
    """Sentences, from a drawn place on, until they last about as long as the recording."""
    wanted = min(utterance.duration_s, recipe.conditioning.max_s) * CHARACTERS_PER_SECOND
    start = item_seed(recipe.seed, "text", utterance.id) % len(sentences)
    chosen = sentences[start]
    step = 1
    while len(chosen) < wanted and step < len(sentences):
        chosen += " " + sentences[(start + step) % len(sentences)]
        step += 1
    return chosen
