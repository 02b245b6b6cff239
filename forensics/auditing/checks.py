"""Rules about a corpus as a whole that need no classifier: overlaps, duplicates, balance, gaps."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence

from forensics.auditing.features import Value
from forensics.auditing.material import Entry
from forensics.auditing.report import Check
from forensics.shards.format import Failure

SHOWN = 5
# A system may miss this much more of its planned items than bona fide before it is told, or fails.
MISSING_WARN = 0.02
MISSING_FAIL = 0.10
LOPSIDED = 20
SILENCE_S = 0.3
_SURE = 1e-4


def corpus_checks(entries: Sequence[Entry], failures: Sequence[Failure]) -> list[Check]:
    """All rules that need metadata only."""
    checks = [
        _crossing("group_overlap", "groups", entries, lambda e: e.group, lambda e: e.split),
        _crossing("source_overlap", "sources", entries, lambda e: e.source_id, lambda e: e.split),
        _balance(entries),
        _one_label_groups(entries),
    ]
    return [*checks, _missing(entries, failures)] if failures else checks


def duplicate_checks(entries: Sequence[Entry], sha256: dict[int, str]) -> list[Check]:
    """The same bytes under two labels, or in two splits.

    Args:
        sha256: of the media, by index of the entry.
    """
    known = [(entries[index], digest) for index, digest in sha256.items()]
    digests = {id(entry): digest for entry, digest in known}
    present = [entry for entry, _ in known]

    def media(entry: Entry) -> str:
        return digests[id(entry)]

    return [
        _crossing("duplicates_across_labels", "media", present, media, lambda e: e.label),
        _crossing("duplicates_across_splits", "media", present, media, lambda e: e.split),
    ]


def _crossing(
    name: str,
    what: str,
    entries: Iterable[Entry],
    key: Callable[[Entry], str],
    side: Callable[[Entry], str | None],
) -> Check:
    """Fails when one key stands on two sides; entries without a side do not count."""
    sides: dict[str, set[str]] = defaultdict(set)
    examples: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        where = side(entry)
        if where is not None:
            sides[key(entry)].add(where)
            examples[key(entry)].append(entry.key)
    if not sides:
        return Check(name=name, status="pass", message="not applicable: no splits are stated")
    crossing = sorted(k for k, found in sides.items() if len(found) > 1)
    if not crossing:
        return Check(name=name, status="pass", message=f"none of {len(sides)} {what} on two sides")
    details = [
        f"{k[:40]} in {' and '.join(sorted(sides[k]))}: {', '.join(examples[k][:3])}"
        for k in crossing[:SHOWN]
    ]
    more = [f"and {len(crossing) - SHOWN} more"] if len(crossing) > SHOWN else []
    return Check(
        name=name,
        status="fail",
        message=f"{len(crossing)} of {len(sides)} {what} on two sides",
        details=(*details, *more),
    )


def _balance(entries: Sequence[Entry]) -> Check:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for entry in entries:
        counts[entry.split or "no split"][entry.label] += 1
    odd = [
        split
        for split, c in counts.items()
        if min(c["bonafide"], c["spoof"]) * LOPSIDED < max(c["bonafide"], c["spoof"])
    ]
    return Check(
        name="label_balance",
        status="warn" if odd else "pass",
        message=f"more than {LOPSIDED}:1 in {', '.join(odd)}" if odd else "both labels everywhere",
        details=tuple(
            f"{split}: {c['bonafide']} bonafide, {c['spoof']} spoof" for split, c in counts.items()
        ),
    )


def _one_label_groups(entries: Sequence[Entry]) -> Check:
    labels: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        labels[entry.group].add(entry.label)
    single = sum(1 for found in labels.values() if len(found) == 1)
    share = single / len(labels)
    return Check(
        name="groups_of_one_label",
        status="warn" if share > 0.5 else "pass",
        message=f"{single} of {len(labels)} groups hold one label only"
        + ("; voices, rooms or cameras may tell the label" if share > 0.5 else ""),
    )


def _missing(entries: Sequence[Entry], failures: Sequence[Failure]) -> Check:
    """Systems that lack more of their items than bona fide does: the gaps have a label too."""
    made = Counter(entry.system for entry in entries)
    failed = Counter(failure.system for failure in failures)
    share = {system: failed[system] / (failed[system] + made[system]) for system in failed | made}
    real = [entry.system for entry in entries if entry.label == "bonafide"]
    allowed = max((share[system] for system in set(real)), default=0.0)
    odd = sorted((s for s in share if share[s] > allowed + MISSING_WARN), key=lambda s: -share[s])
    worst = max((share[s] - allowed for s in odd), default=0.0)
    return Check(
        name="missing_by_system",
        status="fail" if worst > MISSING_FAIL else "warn" if odd else "pass",
        message=f"{len(odd)} systems lack more items than bona fide ({allowed:.1%})"
        if odd
        else f"no system lacks more items than bona fide ({allowed:.1%})",
        details=tuple(f"{s}: {failed[s]} failed, {share[s]:.1%}" for s in odd[:SHOWN]),
    )


def unreadable_check(entries: Sequence[Entry], reasons: dict[int, str]) -> Check:
    """Items that could not be decoded were left out; fails when one label has many more of them."""
    if not reasons:
        return Check(name="unreadable", status="pass", message="every measured item was decoded")
    total = Counter(entry.label for entry in entries)
    bad = Counter(entries[index].label for index in reasons)
    share = {label: bad[label] / total[label] for label in total}
    apart = max(share.values()) - min(share.values())
    return Check(
        name="unreadable",
        status="fail" if apart > MISSING_FAIL else "warn",
        message="left out: " + ", ".join(f"{count} {label}" for label, count in bad.items()),
        details=tuple(f"{entries[i].key}: {why}" for i, why in list(reasons.items())[:SHOWN]),
    )


def mask_check(entries: Sequence[Entry], masks: dict[int, str | None]) -> Check:
    """Masks belong to forged pictures, have their size, and mark something.

    Args:
        masks: by index of the entry, what is wrong with its mask, or None.
    """
    found = [f"{entries[i].key}: {why}" for i, why in masks.items() if why is not None]
    found += [
        f"{entries[i].key}: bona fide, and has a mask"
        for i in masks
        if entries[i].label == "bonafide"
    ]
    more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
    return Check(
        name="masks",
        status="fail" if found else "pass",
        message=f"{len(found)} of {len(masks)} cannot be masks of their pictures"
        if found
        else f"{len(masks)} fit their pictures",
        details=(*found[:SHOWN], *more),
    )


def silence_check(entries: Sequence[Entry], rows: Sequence[dict[str, Value]]) -> Check:
    """Silence that only one label ever has, even if rarely: a classifier's AUC hardly sees it.

    Args:
        rows: the speech features of the entries.
    """
    events = {
        "digital zeros": lambda row: float(row.get("silence.zero_share", 0)) > 0,
        "leading silence": lambda row: float(row.get("silence.leading_s", 0)) >= SILENCE_S,
        "trailing silence": lambda row: float(row.get("silence.trailing_s", 0)) >= SILENCE_S,
    }
    total = Counter(entry.label for entry in entries)
    found = []
    for name, happened in events.items():
        seen = Counter(
            entry.label for entry, row in zip(entries, rows, strict=True) if happened(row)
        )
        for label, other in (("spoof", "bonafide"), ("bonafide", "spoof")):
            if seen[label] and not seen[other] and _chance(seen[label], total, label) < _SURE:
                found.append(f"{name}: {seen[label]} of {total[label]} {label}, no {other}")
    return Check(
        name="silence_in_one_label",
        status="fail" if found else "pass",
        message="only one label has it" if found else "none",
        details=tuple(found),
    )


def _chance(events: int, total: Counter[str], label: str) -> float:
    """Probability that all events fall on one label by chance (hypergeometric)."""
    from scipy.stats import hypergeom

    return float(hypergeom.pmf(events, sum(total.values()), total[label], events))
