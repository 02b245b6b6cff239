"""Builds one shard of speech: decode, forge system by system, condition."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from forensics.corpus.item import read_item
from forensics.corpus.jobs import ShardJob
from forensics.corpus.names import BONAFIDE, item_key, item_seed
from forensics.corpus.plan import PlannedSystem
from forensics.corpus.shard_job import ShardBuilder, ShardRun, describe
from forensics.corpus.speech import conditioning
from forensics.corpus.speech.plan import PlannedUtterance, SpeechPlan
from forensics.corpus.speech.utterance import Utterance
from forensics.generators.base import GENERATORS, Generated, SpeechGenerator, SpeechRequest
from forensics.media.audio import Waveform, encode, read_audio
from forensics.shards.format import Item, ItemMeta, canonical_json


@dataclass
class _Copy:
    waveform: Waveform
    details: dict[str, Any]


class SpeechShardRun(ShardRun[SpeechPlan, SpeechGenerator]):
    """One pass over one shard. All copies are made before the first is conditioned: those of one
    utterance are cut to one length."""

    registry = GENERATORS

    def __init__(self, builder: ShardBuilder, job: ShardJob):
        super().__init__(builder, job)
        self.references: dict[str, Waveform] = {}
        self.copies: dict[str, dict[str, _Copy]] = {}

    def items(self) -> Iterator[Item]:
        self._decode()
        for system in self.systems.values():
            self._forge(system)
        self.references.clear()
        for utterance in self.families():
            copies = self.copies.pop(utterance.source.id, None)
            if copies:
                yield from self._family(utterance, copies)

    def _decode(self) -> None:
        """Decode the sources; the prepared bona fide copy is also what vocoders re-synthesise."""
        for utterance in self.shard.utterances:
            source = utterance.source
            if source.text_only:
                self.copies[source.id] = {}
                continue
            wave = self.read_source(utterance, partial(self._prepared, source))
            if isinstance(wave, str):
                for name in self.plan.members(utterance):
                    self.fail(utterance, name, wave)
                continue
            self.references[source.id] = wave
            self.copies[source.id] = {BONAFIDE: _Copy(wave, {})}

    def _prepared(self, source: Utterance) -> Waveform:
        data = read_item(self.builder.source_root, source)
        return conditioning.prepare(read_audio(data), self.plan.recipe.conditioning)

    def _forge(self, system: PlannedSystem) -> None:
        waiting: list[tuple[PlannedUtterance, SpeechRequest]] = []
        for utterance in self.shard.utterances:
            source_id = utterance.source.id
            if source_id not in self.copies or system.name not in self.plan.members(utterance):
                continue
            key = item_key(source_id, system.name)
            if key in self.job.excluded:
                self.fail(utterance, system.name, self.job.excluded[key])
                continue
            request = SpeechRequest(
                key=key,
                seed=item_seed(self.plan.recipe.seed, "generate", key),
                text=utterance.text,
                language=utterance.language,
                reference=self._reference(source_id),
                reference_text=utterance.source.text,
            )
            waiting.append((utterance, request))
        for batch in self._batches(system, waiting):
            results = self._call(system, [request for _, request in batch])
            for (utterance, _), result in zip(batch, results, strict=True):
                self._take(utterance, system, result)

    def _reference(self, source_id: str) -> Waveform | None:
        """A copy for the engine to do with as it likes: the bona fide item stays as it is."""
        wave = self.references.get(source_id)
        return wave and Waveform(wave.samples.copy(), wave.sampling_rate)

    def _batches(
        self, system: PlannedSystem, waiting: list[tuple[PlannedUtterance, SpeechRequest]]
    ) -> Iterator[list[tuple[PlannedUtterance, SpeechRequest]]]:
        size = GENERATORS.get(system.use).batch_size
        alone = set(self.job.alone)
        together = [pair for pair in waiting if pair[1].key not in alone]
        yield from ([pair] for pair in waiting if pair[1].key in alone)
        yield from (together[i : i + size] for i in range(0, len(together), size))

    def _call(
        self, system: PlannedSystem, requests: list[SpeechRequest]
    ) -> list[Generated | Exception]:
        """What became of each request; when a batch raises, its items are tried one by one."""

        def generate(engine: SpeechGenerator) -> list[Generated | Exception]:
            results = list(engine.generate(requests))
            if len(results) != len(requests):
                raise RuntimeError(f"{len(results)} results for {len(requests)} requests")
            return results

        outcome = self.call(system, [request.key for request in requests], generate)
        if isinstance(outcome, list):
            return outcome
        if len(requests) == 1:
            return [outcome]
        return [result for request in requests for result in self._call(system, [request])]

    def _take(
        self, utterance: PlannedUtterance, system: PlannedSystem, result: Generated | Exception
    ) -> None:
        if isinstance(result, Generated):
            try:
                wave = conditioning.prepare(result.waveform, self.plan.recipe.conditioning)
                canonical_json(result.details)
            except Exception as error:  # a wrong rate, details that are not JSON, …
                result = error
            else:
                copies = self.copies[utterance.source.id]
                copies[system.name] = _Copy(wave, result.details)
                return
        self.fail(utterance, system.name, describe(result))

    def _family(self, utterance: PlannedUtterance, copies: dict[str, _Copy]) -> Iterator[Item]:
        recipe = self.plan.recipe
        road = recipe.conditioning
        source_id = utterance.source.id
        latest, length = 0, None
        if road.cut == "family":
            lengths = [len(copy.waveform.samples) for copy in copies.values()]
            seed = item_seed(recipe.seed, "cut", source_id)
            latest, length = conditioning.family_window(lengths, road, seed)
        for name in sorted(copies, key=lambda name: item_key(source_id, name)):
            key = item_key(source_id, name)
            seed = item_seed(recipe.seed, "road", key)
            wave = copies[name].waveform
            if length is not None:
                start = seed % (latest + 1)
                wave = Waveform(wave.samples[start : start + length], wave.sampling_rate)
            wave, conditions = conditioning.finish(wave, road, recipe.conditions, seed)
            media = encode(wave, recipe.encoding)
            meta = self._meta(utterance, name, copies[name].details, wave, media)
            yield Item(
                key=key,
                extension=recipe.encoding,
                media=media,
                meta=meta.model_copy(update={"conditions": conditions}),
            )

    def _meta(
        self,
        utterance: PlannedUtterance,
        name: str,
        details: dict[str, Any],
        wave: Waveform,
        media: bytes,
    ) -> ItemMeta:
        source = utterance.source
        system = self.systems.get(name)
        transcript = utterance.text if utterance.text_origin == "transcript" else None
        if system and system.kind == "tts" and transcript is None:
            details = {**details, "text": utterance.text, "language": utterance.language}
        return ItemMeta(
            label="spoof" if system else "bonafide",
            modality="speech",
            system=name,
            system_version=system.fingerprint if system else "",
            kind=system.kind if system else BONAFIDE,
            source_id=source.id,
            group=source.group,
            domain=source.domain,
            split=self.shard.split,
            seed=item_seed(self.plan.recipe.seed, "generate", item_key(source.id, name)),
            params=details,
            licence=utterance.licence,
            parent=source.sha256 or "",
            sha256=hashlib.sha256(media).hexdigest(),
            language=source.language or self.plan.recipe.language,
            text=transcript,
            duration_s=round(wave.duration_s, 6),
            sampling_rate=wave.sampling_rate,
        )
