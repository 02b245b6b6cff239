"""Builds one shard of a plan: the function that every runner runs, in whatever process."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from forensics.corpus import conditioning
from forensics.corpus.jobs import ShardJob, ShardReport, Watch
from forensics.corpus.plan import (
    Plan,
    PlannedShard,
    PlannedSystem,
    PlannedUtterance,
    item_key,
    item_seed,
)
from forensics.corpus.recipe import BONAFIDE
from forensics.errors import ForensicsError, MediaError
from forensics.generators.base import GENERATORS, Generated, SpeechGenerator, SpeechRequest
from forensics.media.audio import Waveform, encode, read_audio
from forensics.media.files import read_bytes
from forensics.shards.format import Failure, Item, ItemMeta, Sidecar, canonical_json
from forensics.shards.writer import write_shard

# What an engine may take to load its weights, before its first call.
_LOADING_S = 600.0


@dataclass
class _Copy:
    waveform: Waveform
    details: dict[str, Any]


class ShardBuilder:
    """Holds a plan and its loaded generators for the shards that one worker builds."""

    def __init__(self, plan: Plan, source_root: Path, out: str, watch: Watch | None = None):
        self.plan, self.source_root, self.out = plan, source_root, out
        self.watch = watch or Watch()
        self._generators: dict[str, SpeechGenerator] = {}

    def build(self, job: ShardJob) -> ShardReport:
        """Make every item of the shard and write it.

        Raises:
            MachineError: the shard could not be written; nothing of it is left behind.
        """
        started = time.perf_counter()
        run = _ShardRun(self, self.plan.shard(job.shard), job)
        sidecar = run.write()
        return ShardReport(
            shard=job.shard,
            count=sidecar.count,
            failed=len(sidecar.failures),
            bytes=sidecar.bytes,
            wall_s=time.perf_counter() - started,
            generator_s=run.generator_s,
        )

    def is_loaded(self, system: PlannedSystem) -> bool:
        return system.name in self._generators

    def generator(self, system: PlannedSystem) -> SpeechGenerator:
        if system.name not in self._generators:
            generator = GENERATORS.get(system.use)(**system.params)
            generator.load()
            self._generators[system.name] = generator
        return self._generators[system.name]


class _ShardRun:
    """One pass over one shard: decode, forge system by system, condition, write."""

    def __init__(self, builder: ShardBuilder, shard: PlannedShard, job: ShardJob):
        self.builder, self.shard, self.job = builder, shard, job
        self.plan = builder.plan
        self.systems = self.plan.systems_of(shard.split)
        self.failures: list[Failure] = []
        self.parents: dict[str, str] = {}
        self.references: dict[str, Waveform] = {}
        self.copies: dict[str, dict[str, _Copy]] = {}
        self.generator_s: dict[str, float] = {}

    def write(self) -> Sidecar:
        self._decode()
        for system in self.systems:
            self._forge(system)
        self.references.clear()
        sidecar = write_shard(
            f"{self.builder.out}/shards",
            self.shard.name,
            self._items(),
            split=self.shard.split,
            plan=self.plan.hash,
            failures=self.failures,
        )
        planned = self.plan.item_count(self.shard)
        if sidecar.count + len(sidecar.failures) != planned:
            raise AssertionError(f"{sidecar.count} items of {planned} in {self.shard.name}")
        return sidecar

    def _decode(self) -> None:
        """Decode the sources; the prepared bona fide copy is also what vocoders re-synthesise."""
        for utterance in self.shard.utterances:
            source = utterance.source
            if source.text_only:
                self.parents[source.id] = source.sha256 or ""
                self.copies[source.id] = {}
                continue
            wave = self._read_source(utterance)
            if isinstance(wave, str):
                for name in self.plan.members(utterance):
                    self._fail(utterance, name, wave)
                continue
            self.parents[source.id] = source.sha256 or ""
            self.references[source.id] = wave
            self.copies[source.id] = {BONAFIDE: _Copy(wave, {})}

    def _read_source(self, utterance: PlannedUtterance) -> Waveform | str:
        """The prepared recording, or why there is none. Decoders are watched as engines are."""
        source = utterance.source
        key = item_key(source.id, BONAFIDE)
        if source.broken or key in self.job.excluded:
            return source.broken or f"source: {self.job.excluded[key]}"
        self.builder.watch.calling("source", [key], self.plan.recipe.timeout_s)
        try:
            data = read_bytes(self.builder.source_root / source.path, source.span)
            if hashlib.sha256(data).hexdigest() != source.sha256:
                return "source: changed since it was planned"
            return conditioning.prepare(read_audio(data), self.plan.recipe.conditioning)
        except MediaError as error:
            return f"source: {error.reason}"
        finally:
            self.builder.watch.returned()

    def _forge(self, system: PlannedSystem) -> None:
        waiting: list[tuple[PlannedUtterance, SpeechRequest]] = []
        for utterance in self.shard.utterances:
            source_id = utterance.source.id
            if source_id not in self.copies or system.name not in self.plan.members(utterance):
                continue
            key = item_key(source_id, system.name)
            if key in self.job.excluded:
                self._fail(utterance, system.name, self.job.excluded[key])
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
        """Run the engine under watch; when a batch raises, its items are tried one by one."""
        keys = [request.key for request in requests]
        started = time.perf_counter()
        outcome: list[Generated | Exception] | Exception
        try:
            generator = self._loaded(system, keys)
            limit = self.plan.recipe.timeout_s * len(requests)
            self.builder.watch.calling(system.name, keys, limit)
            outcome = list(generator.generate(requests))
            if len(outcome) != len(requests):
                outcome = RuntimeError(f"{len(outcome)} results for {len(requests)} requests")
        except Exception as error:  # engines raise what they like; one item must not cost a shard
            outcome = error
        spent = time.perf_counter() - started
        self.generator_s[system.name] = self.generator_s.get(system.name, 0.0) + spent
        self.builder.watch.returned()
        if isinstance(outcome, list):
            return outcome
        if len(requests) == 1:
            return [outcome]
        return [result for request in requests for result in self._call(system, [request])]

    def _loaded(self, system: PlannedSystem, keys: list[str]) -> SpeechGenerator:
        if not self.builder.is_loaded(system):
            self.builder.watch.calling(system.name, keys, _LOADING_S)
        return self.builder.generator(system)

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
        self._fail(utterance, system.name, describe(result))

    def _fail(self, utterance: PlannedUtterance, system: str, reason: str) -> None:
        source_id = utterance.source.id
        key = item_key(source_id, system)
        self.failures.append(Failure(key=key, source_id=source_id, system=system, reason=reason))

    def _items(self) -> Iterator[Item]:
        """All items, family after family, in the order of their keys."""
        family_of = {u.source.id: item_key(u.source.id, BONAFIDE) for u in self.shard.utterances}
        for utterance in sorted(self.shard.utterances, key=lambda u: family_of[u.source.id]):
            copies = self.copies.pop(utterance.source.id, None)
            if copies:
                yield from self._family(utterance, copies)

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
        system = next((s for s in self.systems if s.name == name), None)
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
            parent=self.parents[source.id],
            sha256=hashlib.sha256(media).hexdigest(),
            language=source.language or self.plan.recipe.language,
            text=transcript,
            duration_s=round(wave.duration_s, 6),
            sampling_rate=wave.sampling_rate,
        )


def describe(error: Exception) -> str:
    """One line without addresses or times, so that a rerun gives the same sidecar."""
    if isinstance(error, ForensicsError):
        return error.what
    text = " ".join(str(error).split())[:200]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
