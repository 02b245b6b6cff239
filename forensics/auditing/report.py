"""What an audit found: the schema, and its text for people."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Status = Literal["pass", "fail", "inconclusive"]
FamilyStatus = Literal["pass", "fail", "inconclusive", "reported"]
EXIT_CODES: dict[Status, int] = {"pass": 0, "inconclusive": 3, "fail": 4}


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Evidence(_Frozen):
    """The feature of a family in which the labels differ most, and what is typical of each."""

    feature: str
    spoof: str
    bonafide: str


class Leak(_Frozen):
    """How well one family of features tells spoof from bona fide.

    Attributes:
        auc: held-out area under the ROC curve, 0.5 = says nothing; None when not measured.
        low, high: its interval, widened for the number of systems in `SystemResult`.
        limit: what `low` may not exceed; None: reported, not judged.
        reason: why it is inconclusive, or that the family is the same for every item.
    """

    family: str
    auc: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    status: FamilyStatus
    reason: str | None = None
    evidence: Evidence | None = None
    remedy: str | None = None


class SystemResult(_Frozen):
    """One system against all bona fide items. `reason` says why it was not measured."""

    system: str
    items: int
    groups: int
    leaks: tuple[Leak, ...] = ()
    reason: str | None = None


class Check(_Frozen):
    """One rule about the corpus as a whole. `warn` never changes the result."""

    name: str
    status: Literal["pass", "fail", "warn"]
    message: str
    details: tuple[str, ...] = ()


class Settings(_Frozen):
    """Everything the result depends on besides the corpus."""

    limits: dict[str, float | None]
    max_items: int
    seed: int
    folds: int
    resamples: int
    min_groups: int
    min_items: int


class AuditReport(_Frozen):
    """The result of `forensics.auditing.run.audit`.

    Attributes:
        items: in the corpus; measured: of those that were decoded and compared.
        families: each family alone, then `all judged` and `everything` together.
    """

    status: Status
    corpus: str
    modality: str
    items: int
    measured: int
    groups: int
    labels: dict[str, int]
    families: tuple[Leak, ...]
    systems: tuple[SystemResult, ...]
    checks: tuple[Check, ...]
    notes: tuple[str, ...]
    settings: Settings
    seconds: float
    forensics_version: str

    @property
    def exit_code(self) -> int:
        return EXIT_CODES[self.status]

    @property
    def failed(self) -> list[str]:
        """Families and checks that failed; a system's as `system: family`."""
        return (
            [leak.family for leak in self.families if leak.status == "fail"]
            + [f"{s.system}: {k.family}" for s in self.systems for k in s.leaks if _failed(k)]
            + [check.name for check in self.checks if check.status == "fail"]
        )


def as_text(report: AuditReport) -> str:
    """Plain lines for a terminal."""
    labels = ", ".join(f"{count} {label}" for label, count in report.labels.items())
    lines = [
        f"{report.corpus}: {report.items} items ({labels}), {report.groups} groups, "
        f"{report.measured} measured",
        "",
        f"{'family':14} {'AUC':>5}  {'95 % interval':15} {'limit':>5}  result",
        *(_family_line(leak) for leak in report.families),
    ]
    advice = [line for leak in report.families for line in _advice(leak)]
    lines += ["", *advice] if advice else []
    lines += _systems(report)
    lines += ["", "checks"]
    for check in report.checks:
        lines.append(f"  {check.status:5} {check.name}: {check.message}")
        lines += [f"        {detail}" for detail in check.details]
    lines += ["", *(f"note: {note}" for note in report.notes)] if report.notes else []
    lines += ["", _closing(report)]
    return "\n".join(lines)


def _family_line(leak: Leak) -> str:
    limit = "" if leak.limit is None else f"{leak.limit:.2f}"
    if leak.auc is None:
        return f"{leak.family:14} {'-':>5}  {'':15} {limit:>5}  {_outcome(leak)}"
    interval = f"{leak.low:.3f} to {leak.high:.3f}"
    return f"{leak.family:14} {leak.auc:5.3f}  {interval:15} {limit:>5}  {_outcome(leak)}"


def _outcome(leak: Leak) -> str:
    word = leak.status.upper() if leak.status == "fail" else leak.status
    return f"{word} ({leak.reason})" if leak.reason else word


def _advice(leak: Leak) -> list[str]:
    if leak.status not in ("fail", "inconclusive") or leak.evidence is None:
        return []
    e = leak.evidence
    lines = [f"{leak.family}: {e.feature} is {e.spoof} in spoof, {e.bonafide} in bonafide"]
    return lines + ([f"  mend: {leak.remedy}"] if leak.remedy else [])


def _systems(report: AuditReport) -> list[str]:
    if not report.systems:
        return []
    lines = ["", "each system against all bona fide items"]
    lines += [line for s in report.systems if not s.reason for line in _system_lines(s)]
    small = [f"{s.system} ({s.items})" for s in report.systems if s.reason]
    if small:
        few = f"fewer than {report.settings.min_items} items or {report.settings.min_groups} groups"
        lines.append(f"  not judged alone, {few}: {', '.join(small)}")
    return lines


def _system_lines(system: SystemResult) -> list[str]:
    head = f"  {system.system} ({system.items} items)"
    strongest = sorted(system.leaks, key=lambda leak: -(leak.auc or 0))[:3]
    parts = [
        f"{leak.family} {leak.auc:.2f}{' FAIL' if _failed(leak) else ''}"
        for leak in strongest
        if leak.auc is not None
    ]
    lines = [f"{head}: strongest {', '.join(parts)}"] if parts else [f"{head}: nothing differs"]
    for leak in system.leaks:
        if _failed(leak) and leak.evidence:
            e = leak.evidence
            lines.append(
                f"    {leak.family}: {e.feature} is {e.spoof}, {e.bonafide} in bonafide; "
                f"mend: {leak.remedy}"
            )
    return lines


def _closing(report: AuditReport) -> str:
    limits = ", ".join(f"{k} {v:.2f}" for k, v in report.settings.limits.items() if v is not None)
    settings = f"limits: {limits}; seed {report.settings.seed}; {report.seconds:.1f} s"
    if report.status == "fail":
        return f"{settings}\nFAIL: labels leak through {', '.join(report.failed)}"
    if report.status == "inconclusive":
        open_ = ", ".join(k.family for k in report.families if k.status == "inconclusive")
        return f"{settings}\nINCONCLUSIVE: too few items or groups to judge {open_}"
    return f"{settings}\npass: no judged family lies above its limit"


def _failed(leak: Leak) -> bool:
    return leak.status == "fail"
