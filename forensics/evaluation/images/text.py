"""An evaluation on pictures as plain lines for a terminal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from forensics.evaluation.faces.text import face_lines
from forensics.evaluation.images.report import PictureFigures, PictureReport, PixelRow, PixelSummary
from forensics.evaluation.report import Estimate, NotJudged
from forensics.evaluation.text import answers, estimate, part_lines, visible

WHOLE = {
    "eer": "EER",
    "auc": "AUC",
    "min_dcf": "minDCF",
    "act_dcf": "actDCF",
    "cllr": "Cllr (bits)",
}
PIXELS = {
    "f1": "F1 at 0.5",
    "f1_best": "F1 at each picture's best threshold",
    "iou": "IoU at 0.5",
    "auc": "AUC, mean over pictures",
}
SHORT = {"f1": "F1@0.5", "f1_best": "F1 best", "iou": "IoU", "auc": "AUC"}
_MAX_LISTED = 20
_WIDTH = 36


def as_text(report: PictureReport) -> str:
    """Everything that was found; of pictures that were not judged the first 20."""
    labels = ", ".join(f"{count} {label}" for label, count in report.labels.items())
    lines = [
        f"{report.material}: {report.pictures} pictures ({labels}; {report.masks} with masks), "
        f"{report.groups} groups"
    ]
    for detector in report.detectors:
        lines += ["", *_detector(detector)]
    for baseline in report.baselines:
        lines += ["", f"baseline {baseline.label}: {baseline.summary}", *_pixels(baseline.pixels)]
    for detector in report.detectors:
        lines += _parts(detector)
    lines += ["", *face_lines(report.faces)] if report.faces else []
    lines += _unjudged(report.not_judged)
    lines += ["", *(f"note: {note}" for note in report.notes)] if report.notes else []
    settings = report.settings
    lines += [
        "",
        f"95 % intervals: {settings.replicates} resamples of whole groups, seed {settings.seed}; "
        f"{report.seconds:.1f} s",
    ]
    return "\n".join(lines)


def _detector(detector: PictureFigures) -> list[str]:
    pinned = f", weights {detector.weights_sha256[:12]}" if detector.weights_sha256 else ""
    lines = [
        f"{detector.label}: {detector.name} {detector.version}{pinned}; "
        f"{detector.judged} pictures judged"
    ]
    lines += [
        f"  cannot judge {count}: {visible(why)}" for why, count in detector.not_applicable.items()
    ]
    clean = detector.conditions[0]
    lines += [_line(name, estimate(key, getattr(clean, key))) for key, name in WHOLE.items()]
    if detector.accuracy is None:
        lines.append(_line("answers", "no shipped threshold: all uncertain"))
    else:
        shares = detector.accuracy.model_copy(update={"note": None})
        lines += [
            _line("accuracy at the shipped threshold", estimate("eer", shares)),
            _line("real pictures", answers(clean.real_answers, "false alarms", "bonafide")),
            _line("forged pictures", answers(clean.forged_answers, "missed", "manipulated")),
        ]
    if detector.pixels is None:
        lines.append(_line("pixels", "no heatmaps, or no masks to hold them to"))
    else:
        lines += _pixels(detector.pixels)
    if len(detector.conditions) > 1:
        lines += ["  by condition", *_conditions(detector)]
    return lines


def _pixels(found: PixelSummary) -> list[str]:
    lines = [f"  pixels of {found.overall.pictures} forged pictures"]
    lines += [
        _line(name, estimate(key, getattr(found.overall, key)), 4) for key, name in PIXELS.items()
    ]
    lines.append(_line("AUC, all pixels pooled", estimate("auc", found.auc_pooled), 4))
    lines += [
        _line(f"{SHORT[key]}, every size alike", estimate(key, found.size_invariant[key]), 4)
        for key in ("f1", "f1_best")
    ]
    area = estimate("eer", found.pristine_area)
    lines.append(_line(f"predicted of {found.pristine} real pictures", area, 4))
    for baseline, figures in found.over.items():
        gains = "; ".join(
            f"{SHORT[key]} {_signed(figures[key])}" for key in ("f1", "f1_best", "auc")
        )
        lines.append(_line(f"minus {baseline}", gains, 4))
    return lines


def _conditions(detector: PictureFigures) -> list[str]:
    rows = {row.name: row for row in detector.pixel_conditions}
    lines = []
    for found in detector.conditions:
        row = rows.get(found.condition)
        if found.auc.value is None and (row is None or not row.pictures):
            lines.append(f"    {found.condition:11} nothing that it can judge: {found.auc.note}")
            continue
        text = f"    {found.condition:11} EER {estimate('eer', found.eer)}"
        text += f"; AUC {estimate('auc', found.auc)}"
        if found.real_answers is not None:
            text += f"; false alarms {100 * found.real_answers.error:.1f} %"
        if row is not None and row.pictures:
            text += f"; pixels: {_brief(row)}"
        lines.append(text)
    return lines


def _parts(detector: PictureFigures) -> list[str]:
    wholes = {
        "system": detector.systems, "kind": detector.kinds, "mode": detector.modes,
        "size of the region": detector.sizes,
    }  # fmt: skip
    pixels = detector.pixels
    inside: dict[str, Sequence[PixelRow]] = {}
    if pixels is not None:
        inside = {
            "system": pixels.systems, "kind": pixels.kinds, "mode": pixels.modes,
            "size of the region": pixels.sizes,
        }  # fmt: skip
    lines = []
    for what, parts in wholes.items():
        if parts:
            title = f"{detector.label} by {what}, each against all real pictures"
            lines += ["", title, *part_lines(parts)]
        rows = inside.get(what, ())
        if rows:
            width = min(40, max(len(row.name) for row in rows))
            lines += ["", f"{detector.label} by {what}, pixels"]
            lines += [
                f"  {visible(row.name):{width}}  {row.pictures:5} pictures  {_brief(row)}"
                + (f"  [{row.remark}]" if row.remark else "")
                for row in rows
            ]
    return lines


def _brief(row: PixelRow) -> str:
    parts = []
    for key, name in SHORT.items():
        found: Estimate = getattr(row, key)
        if found.value is not None:
            text = f"{name} {found.value:.3f}"
            if key in ("f1", "auc") and found.low is not None and found.high is not None:
                text += f" ({found.low:.3f} to {found.high:.3f})"
            parts.append(text)
    return ", ".join(parts)


def _unjudged(found: Sequence[NotJudged]) -> list[str]:
    if not found:
        return []
    reasons = Counter(one.reason for one in found)
    counted = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    lines = ["", f"{len(found)} findings could not be had and are in no figure: {counted}"]
    lines += [
        f"  {visible(one.key)}  {one.detector}, {one.condition}: {one.reason}: "
        f"{visible(one.message)}"
        for one in found[:_MAX_LISTED]
    ]
    rest = len(found) - _MAX_LISTED
    return [*lines, f"  and {rest} more, see --json"] if rest > 0 else lines


def _line(name: str, text: str, indent: int = 2) -> str:
    return f"{' ' * indent}{name:{_WIDTH - indent}} {text}"


def _signed(found: Estimate) -> str:
    if found.value is None:
        return "-"
    text = f"{found.value:+.3f}"
    if found.low is None or found.high is None:
        return text
    return f"{text} ({found.low:+.3f} to {found.high:+.3f})"
