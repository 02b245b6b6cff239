"""What a run found, over its seeds: as data, as text, and as curves."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from forensics.detectors.bundle import Measurement
from forensics.detectors.calibration import Calibration, Threshold
from forensics.evaluation.metrics import eer
from forensics.shards.storage import publish
from forensics.training.detector.calibrate import Calibrated
from forensics.training.detector.fitted import Fitted
from forensics.training.journal import LOG, read


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SeedResult(_Frozen):
    """One seed's network. EERs are in [0, 1].

    Attributes:
        steps: that were done.
        dev_eer: mean over systems, of the weights that were kept.
        test_eer: all systems together; test_by_system: of each.
    """

    seed: int
    steps: int
    dev_eer: float
    test_eer: float
    test_by_system: dict[str, float]


class OverSeeds(_Frozen):
    """A figure over seeds: Student's 95 % interval of its mean; None for one seed."""

    mean: float
    best: float
    interval: tuple[float, float] | None

    @classmethod
    def of(cls, values: list[float]) -> OverSeeds:
        from scipy.special import stdtrit

        mean, count = sum(values) / len(values), len(values)
        interval = None
        if count > 1:
            spread = math.sqrt(sum((value - mean) ** 2 for value in values) / (count - 1))
            reach = float(stdtrit(count - 1, 0.975)) * spread / math.sqrt(count)
            interval = (mean - reach, mean + reach)
        return cls(mean=mean, best=min(values), interval=interval)


class Report(_Frozen):
    """The result of `forensics train` for a detector.

    Attributes:
        chosen_seed: the one with the least dev EER, whose network is in the bundle.
        measured: of that network; what the bundle says as well.
        calibration, threshold: None when the config asks for none.
    """

    seeds: tuple[SeedResult, ...]
    chosen_seed: int
    dev_eer: OverSeeds
    test_eer: OverSeeds
    measured: tuple[Measurement, ...]
    calibration: Calibration | None
    threshold: Threshold | None

    @classmethod
    def of(
        cls,
        finals: dict[int, Fitted],
        chosen: int,
        calibrated: Calibrated | None,
        measured: list[Measurement],
    ) -> Report:
        seeds = tuple(_result(seed, fitted) for seed, fitted in finals.items())
        return cls(
            seeds=seeds,
            chosen_seed=chosen,
            dev_eer=OverSeeds.of([one.dev_eer for one in seeds]),
            test_eer=OverSeeds.of([one.test_eer for one in seeds]),
            measured=tuple(measured),
            calibration=calibrated.calibration if calibrated else None,
            threshold=calibrated.threshold if calibrated else None,
        )

    def __str__(self) -> str:
        rows = ["| seed | steps | dev EER | test EER |", "| --- | --- | --- | --- |"]
        for one in self.seeds:
            kept = " (kept)" if one.seed == self.chosen_seed and len(self.seeds) > 1 else ""
            errors = f"{_percent(one.dev_eer)} | {_percent(one.test_eer)}"
            rows.append(f"| {one.seed}{kept} | {one.steps} | {errors} |")
        if len(self.seeds) > 1:
            rows.append(f"| mean | | {_over(self.dev_eer)} | {_over(self.test_eer)} |")
            errors = f"{_percent(self.dev_eer.best)} | {_percent(self.test_eer.best)}"
            rows.append(f"| best | | {errors} |")
        rows += ["", "| measured on | EER |", "| --- | --- |"]
        for figure in self.measured:
            interval = _interval(figure.interval)
            rows.append(f"| {figure.on} | {_percent(figure.value)}{interval} |")
        rows += ["", f"calibration: {self.calibration or 'none: verdicts will be uncertain'}"]
        return "\n".join(rows)


def write_report(report: Report, out: Path) -> None:
    """`report.json`, `report.md`, and `curves.png` from the logs under `out/fits`."""
    publish(str(out / "report.json"), report.model_dump_json(indent=1).encode() + b"\n")
    publish(str(out / "report.md"), f"{report}\n\n![curves](curves.png)\n".encode())
    curves = {"loss": "loss", "dev_eer": "EER on dev, mean over systems"}
    draw(sorted((out / "fits").iterdir()), out / "curves.png", curves)


def _result(seed: int, fitted: Fitted) -> SeedResult:
    test = fitted.test
    assert test is not None
    return SeedResult(
        seed=seed,
        steps=fitted.steps,
        dev_eer=fitted.dev_eer,
        test_eer=eer(test.score[test.is_bonafide], test.score[~test.is_bonafide]).value,
        test_by_system={name: error for name, (error, _) in test.by_system().items()},
    )


def draw(fits: list[Path], path: Path, curves: dict[str, str]) -> None:
    """Figures of the logs by step, one line a fit; `curves` names them: field → label."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(curves), 3.2), layout="constrained")
    for axes, (name, label) in zip(figure.subplots(1, len(curves)), curves.items(), strict=True):
        for folder in fits:
            lines = [line for line in read(folder / LOG) if name in line]
            axes.plot(
                [line["step"] for line in lines],
                [math.nan if line[name] is None else line[name] for line in lines],
                label=folder.name,
                marker=None if name == "loss" else ".",
            )
        axes.set_xlabel("step")
        axes.set_ylabel(label)
        axes.spines[["top", "right"]].set_visible(False)
    figure.axes[1].legend(frameon=False, fontsize="small")
    figure.savefig(path, dpi=120)


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _over(figure: OverSeeds) -> str:
    return f"{_percent(figure.mean)}{_interval(figure.interval)}"


def _interval(bounds: tuple[float, float] | None) -> str:
    return f" ({100 * bounds[0]:.1f} to {100 * bounds[1]:.1f})" if bounds else ""
