"""Speech, for the machinery of `forensics.corpus`."""

from __future__ import annotations

import os
from pathlib import Path

from forensics.corpus.item import Source
from forensics.corpus.modality import Modality
from forensics.corpus.speech.plan import PlannedUtterance, SpeechPlan, make_plan
from forensics.corpus.speech.recipe import SpeechRecipe, read_sentences
from forensics.corpus.speech.shard_job import SpeechShardRun
from forensics.corpus.speech.source import load_source
from forensics.corpus.speech.utterance import Utterance

# 44 bytes of header, a tar header and its padding, and about 1 kB of metadata with its own.
_OVERHEAD_BYTES = 44 + 2 * (512 + 256) + 1024
_FEW_GROUPS = 10


class SpeechModality(Modality):
    """Recordings and texts; every amount comes from the headers of the recordings."""

    recipe = SpeechRecipe
    plan = SpeechPlan
    shard_run = SpeechShardRun
    example = "audeter"
    unit = "hours"

    def load_source(
        self, path: str | os.PathLike[str], where: dict[str, str] | None, recipe: SpeechRecipe
    ) -> Source[Utterance]:
        return load_source(path, where)

    def make_plan(
        self, recipe: SpeechRecipe, folder: Path, source: Source[Utterance]
    ) -> SpeechPlan:
        return make_plan(recipe, read_sentences(folder / recipe.sentences), source)

    def amount(self, plan: SpeechPlan, planned: PlannedUtterance) -> float:
        road = plan.recipe.conditioning
        share = sum(road.cut_share) / 2 if road.cut == "family" else 1.0
        return min(planned.source.duration_s, road.max_s) * share / 3600

    def bytes(self, plan: SpeechPlan, amount: float, items: int) -> int:
        seconds = amount * 3600
        total = round(
            seconds * plan.recipe.conditioning.sampling_rate * 2 + items * _OVERHEAD_BYTES
        )
        return total if plan.recipe.encoding == "wav" else round(total * 0.6)

    def warnings(self, plan: SpeechPlan) -> list[str]:
        found = []
        utterances = [u for shard in plan.shards for u in shard.utterances]
        texts = sum(1 for u in utterances if u.source.text_only)
        if texts:
            found.append(
                f"{texts} rows are texts without a recording: TTS copies only, nothing bona fide"
            )
        untold = sum(1 for u in utterances if u.text_origin == "sentences")
        if untold and any(system.kind == "tts" for system in plan.systems):
            found.append(
                f"{untold} of {len(utterances)} recordings have no transcript: TTS systems read "
                f"{plan.recipe.language!r} sentences of the pipeline instead, so words (and "
                "language, where the speech is in another one) differ by label for TTS"
            )
        groups = {u.source.group for u in utterances}
        if len(groups) < _FEW_GROUPS:
            found.append(
                f"only {len(groups)} groups (speakers): splits and the audit are weak below "
                f"{_FEW_GROUPS}"
            )
        rate = plan.recipe.conditioning.sampling_rate
        rates = [u.source.sampling_rate for u in utterances if u.source.sampling_rate]
        narrow = sum(1 for own in rates if own < rate)
        if narrow:
            found.append(
                f"{narrow} recordings are sampled below {rate} Hz: their upper band is empty, that "
                "of TTS copies is not, which tells the labels apart"
            )
        broken = [u for u in utterances if u.source.broken]
        if broken:
            found.append(f"{len(broken)} recordings cannot be read, e.g. {broken[0].source.path}")
        return found


MODALITY = SpeechModality()
