"""What was found on a corpus of faces: the schema for Python, JSON and HTML."""

from __future__ import annotations

from forensics.evaluation.report import Estimate, Frozen


class Rates(Frozen):
    """Real photos of the claimed person against something else.

    Positive is what is no authentic photo of that person: precision is of what was called so,
    recall of what is so. In [0, 1]; None where a class is absent.

    Attributes:
        real, other: pictures of either class.
    """

    real: int
    other: int
    accuracy: float | None = None
    precision: float | None = None
    recall: float | None = None
    f1: float | None = None
    auc: float | None = None
    eer: float | None = None


class ClaimRow(Frozen):
    """Pictures of one role or one engine against all real photos; or one person's pictures.

    Attributes:
        refused: share of `other` that is called no authentic photo of the person, at the threshold.
    """

    name: str
    rates: Rates
    refused: float | None


class ClaimFigures(Frozen):
    """One detector, or the baseline.

    Attributes:
        threshold: scores below are called no authentic photo of the person.
        threshold_origin: in words; one that was chosen on these very pictures says so.
        pooled: real photos against all forgeries, look-alikes left out.
        macro: the mean over people of their own figures, of those with both classes.
        auc: pooled, with its interval; resampled by people.
        over: the same less the baseline's, paired; None for the baseline itself.
        beats: whether the whole interval of `over` is above 0; None where it cannot be said.
    """

    label: str
    judged: int
    threshold: float
    threshold_origin: str
    pooled: Rates
    macro: Rates
    auc: Estimate
    over: Estimate | None
    beats: bool | None
    roles: tuple[ClaimRow, ...]
    systems: tuple[ClaimRow, ...]
    people: tuple[ClaimRow, ...]


class FaceReport(Frozen):
    """Figures by claim.

    Attributes:
        enrolled: photos that the baseline knows people from; they are in no figure.
        compared: pictures that the baseline and all detectors judged: figures are over these.
        baseline: first; then each detector.
    """

    people: int
    enrolled: int
    compared: int
    tools: str
    baseline: ClaimFigures
    detectors: tuple[ClaimFigures, ...]

    def remarks(self) -> list[str]:
        """What a reader must not miss."""
        return [
            f"{one.label} does not beat comparing faces alone: its AUC less the baseline's is "
            f"{_signed(one.over)}"
            for one in self.detectors
            if one.beats is False and one.over is not None
        ]


def _signed(found: Estimate) -> str:
    if found.value is None:
        return "unknown"
    if found.low is None or found.high is None:
        return f"{found.value:+.3f}"
    return f"{found.value:+.3f} ({found.low:+.3f} to {found.high:+.3f})"
