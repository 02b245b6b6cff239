"""An evaluation as plain lines for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forensics.evaluation.report import (
    Answers,
    ConditionFigures,
    DetectorFigures,
    Difference,
    Estimate,
    EvaluationReport,
    Part,
)
from forensics.evaluation.sweep import CLEAN

PERCENT = ("eer", "eer_within_source")
NAMES = {
    "eer": "EER, one threshold for all",
    "eer_within_source": "EER, mean within sources",
    "min_dcf": "minDCF",
    "act_dcf": "actDCF",
    "cllr": "Cllr (bits)",
    "auc": "AUC",
}
_MAX_LISTED = 20


def as_text(report: EvaluationReport) -> str:
    """Everything that was found; of clips that were not judged the first 20."""
    labels = ", ".join(f"{count} {label}" for label, count in report.labels.items())
    lines = [
        f"{report.material}: {report.judged} of {report.clips} clips judged ({labels}), "
        f"{report.groups} groups, {report.sources} sources",
    ]
    for detector in report.detectors:
        lines += ["", *_detector(detector)]
    for difference in report.differences:
        lines += ["", *_difference(difference)]
    lines += [line for detector in report.detectors for line in _all_parts(detector)]
    lines += _unjudged(report)
    lines += ["", *(f"note: {note}" for note in report.notes)] if report.notes else []
    settings = report.settings
    lines += [
        "",
        f"95 % intervals: {settings.replicates} resamples of whole groups, seed {settings.seed}; "
        f"{report.seconds:.1f} s",
    ]
    return "\n".join(lines)


def estimate(figure: str, found: Estimate) -> str:
    """A value with its interval, or why there is none."""
    if found.value is None:
        return found.note or "not measured"
    scale, end = (100, " %") if figure in PERCENT else (1, "")
    digits = 1 if figure in PERCENT else 3
    text = f"{scale * found.value:.{digits}f}{end}"
    if found.low is None or found.high is None:
        return f"{text} ({found.note})" if found.note else text
    return f"{text} ({scale * found.low:.{digits}f} to {scale * found.high:.{digits}f})"


def answers(found: Answers | None, wrong: str, right: str) -> str:
    """Shares of the three answers.

    Args:
        wrong: what the error is called: "false alarms" or "missed".
        right: the label that is right for these clips.
    """
    if found is None:
        return "-"
    interval = f"{_percent(found.low)} to {_percent(found.high)}"
    return (
        f"{wrong} {_percent(found.error)} ({interval}), uncertain {_percent(found.uncertain)}, "
        f"{right} {_percent(getattr(found, right))}"
    )


def sources_note(detector: DetectorFigures) -> str:
    """How many sources the within-source mean is over, and which it leaves out."""
    both = [part for part in detector.sources if part.eer.value is not None]
    one = [part.name for part in detector.sources if part.eer.value is None]
    left = f"; one label only: {', '.join(one)}" if one else ""
    return f"over {len(both)} sources{left}"


def _detector(detector: DetectorFigures) -> list[str]:
    pinned = f", weights {detector.weights_sha256[:12]}" if detector.weights_sha256 else ""
    version = f" {detector.version}" if detector.version else ""
    lines = [f"{detector.label}: {detector.name}{version}{pinned}"]
    clean = detector.conditions[0]
    for figure, name in NAMES.items():
        lines.append(f"  {name:27} {estimate(figure, getattr(clean, figure))}")
        if figure == "eer_within_source" and clean.eer_within_source.value is not None:
            lines[-1] += f" {sources_note(detector)}"
    if detector.threshold is None:
        lines.append("  answers                     no shipped threshold: all uncertain")
    else:
        real = answers(clean.real_answers, "false alarms", "bonafide")
        forged = answers(clean.forged_answers, "missed", "manipulated")
        lines += [
            f"  real clips                  {real}",
            f"  forged clips                {forged}",
        ]
    if len(detector.conditions) > 1:
        lines += ["  by condition"]
        lines += [_condition(row) for row in detector.conditions]
    return lines


def _condition(row: ConditionFigures) -> str:
    eer = estimate("eer", row.eer)
    ratio = alarms = ""
    if row.eer_ratio is not None:
        ratio = f", {estimate('ratio', row.eer_ratio)} of the clean one"
    if row.real_answers is not None:
        alarms = f"; false alarms {_percent(row.real_answers.error)}"
    return f"    {row.condition:10} EER {eer}{ratio}{alarms}"


def _difference(found: Difference) -> list[str]:
    where = "" if found.condition == CLEAN else f" under {found.condition}"
    lines = [f"{found.first} minus {found.second}{where}, paired"]
    if not found.figures:
        return [*lines, "  nothing that both have"]
    return lines + [f"  {NAMES[k]:27} {estimate(k, v)}" for k, v in found.figures.items()]


def _all_parts(detector: DetectorFigures) -> list[str]:
    titles = {
        "by system, each against all bona fide clips": detector.systems,
        "by kind, each against all bona fide clips": detector.kinds,
        "by source, each within itself": detector.sources,
    }
    lines = []
    for title, found in titles.items():
        if found:
            lines += ["", f"{detector.label} {title}", *part_lines(found)]
    return lines


def part_lines(found: Sequence[Part]) -> list[str]:
    """One line a system, kind, mode or source."""
    width = min(40, max(len(part.name) for part in found))
    return [_part(part, width) for part in found]


def _part(part: Part, width: int) -> str:
    text = f"  {part.name:{width}}  {part.bonafide:5} real {part.spoof:5} forged  "
    if part.eer.value is not None:
        text += f"EER {100 * part.eer.value:.1f} %"
        if part.eer.low is not None and part.eer.high is not None:
            text += f" ({100 * part.eer.low:.1f} to {100 * part.eer.high:.1f})"
        if part.eer_within is not None:
            text += f", within sources {100 * part.eer_within:.1f} %"
        text += "  "
    if part.real_answers is not None:
        text += f"false alarms {_percent(part.real_answers.error)}  "
    if part.forged_answers is not None:
        text += f"found {_percent(part.forged_answers.manipulated)}  "
    note = part.remark or part.eer.note
    return text + (f"[{note}]" if note else "")


def _unjudged(report: EvaluationReport) -> list[str]:
    if not report.not_judged:
        return []
    reasons = Counter(one.reason for one in report.not_judged)
    counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    lines = [
        "",
        f"{report.clips - report.judged} clips were not judged by every detector under every "
        f"condition and are in no figure: {counted}",
    ]
    for one in report.not_judged[:_MAX_LISTED]:
        lines.append(
            f"  {visible(one.key)}  {one.detector}, {one.condition}: {one.reason}: "
            f"{visible(one.message)}"
        )
    rest = len(report.not_judged) - _MAX_LISTED
    return [*lines, f"  and {rest} more, see --json"] if rest > 0 else lines


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def visible(text: str) -> str:
    """File names may hold line breaks and terminal commands."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
