"""What a localiser's run found: as data, as text, and as curves."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from forensics.detectors.bundle import Measurement
from forensics.detectors.calibration import Calibration, Threshold
from forensics.shards.storage import publish
from forensics.training.detector.report import draw


class LocaliserReport(BaseModel):
    """The result of `forensics train` for a localiser.

    Attributes:
        steps: that were done.
        cut: of mask logits, where pixel F1 on edits of the dev split was best; it lies at 0.5 in
            the detector's heatmaps.
        measured: what the bundle says as well.
        calibration, threshold: None when the config asks for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    steps: int
    cut: float
    measured: tuple[Measurement, ...]
    calibration: Calibration | None
    threshold: Threshold | None

    def __str__(self) -> str:
        rows = ["| measured on | metric | value |", "| --- | --- | --- |"]
        for one in self.measured:
            bounds = f" ({one.interval[0]:.3f} to {one.interval[1]:.3f})" if one.interval else ""
            rows.append(f"| {one.on} | {one.metric} | {one.value:.3f}{bounds} |")
        rows += ["", f"steps: {self.steps}; the mask is cut at the logit {self.cut:+.2f}"]
        rows += [f"calibration: {self.calibration or 'none: verdicts will be uncertain'}"]
        return "\n".join(rows)


def write_report(report: LocaliserReport, out: Path) -> None:
    """`report.json`, `report.md`, and `curves.png` from the logs under `out/fits`."""
    publish(str(out / "report.json"), report.model_dump_json(indent=1).encode() + b"\n")
    publish(str(out / "report.md"), f"{report}\n\n![curves](curves.png)\n".encode())
    curves = {"loss": "loss", "dev_auc": "image AUC on dev", "dev_best_f1": "pixel F1 on dev"}
    draw(sorted((out / "fits").iterdir()), out / "curves.png", curves)
