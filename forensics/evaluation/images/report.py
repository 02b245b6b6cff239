"""What an evaluation on pictures found: the schema for Python, JSON and HTML."""

from __future__ import annotations

from forensics.evaluation.faces.report import FaceReport
from forensics.evaluation.report import DetectorFigures, Estimate, Frozen, NotJudged, Part, Settings


class PixelRow(Frozen):
    """Means over forged pictures with masks.

    Attributes:
        f1, iou: at the fixed threshold 0.5.
        f1_best: at each picture's best threshold.
        auc: within each picture.
        remark: too few pictures, or none.
    """

    name: str
    pictures: int
    f1: Estimate
    f1_best: Estimate
    iou: Estimate
    auc: Estimate
    remark: str | None = None


class PixelSummary(Frozen):
    """How well heatmaps point at what was forged, on clean pictures.

    Attributes:
        auc_pooled: over the pixels of all forged pictures together: heatmaps must be comparable.
        size_invariant: figure → mean over the size bins, each of equal weight.
        sizes, systems, kinds, modes: the same pictures, divided.
        pristine: authentic pictures, which have no F1; pristine_area: the share of them that is
            predicted at 0.5, mean.
        over: baseline → figure → this detector minus the baseline, paired on its pictures.
    """

    overall: PixelRow
    auc_pooled: Estimate
    size_invariant: dict[str, Estimate]
    sizes: tuple[PixelRow, ...]
    systems: tuple[PixelRow, ...]
    kinds: tuple[PixelRow, ...]
    modes: tuple[PixelRow, ...]
    pristine: int
    pristine_area: Estimate
    over: dict[str, dict[str, Estimate]] = {}


class PictureFigures(DetectorFigures):
    """One detector: of whole pictures as of clips, and of pixels.

    Attributes:
        judged: pictures that it judged under every condition in which it judges at all. Its
            figures are over these.
        not_applicable: reason → clean pictures that it cannot judge.
        accuracy: share of right answers at the shipped threshold, where whatever is no alarm counts
            as "not manipulated".
        modes, sizes: whole pictures by editing mode and by size of the region, each against all
            authentic ones.
        pixels: None without heatmaps or masks.
        pixel_conditions: means of pixels, one row a condition.
    """

    judged: int
    not_applicable: dict[str, int]
    accuracy: Estimate | None
    modes: tuple[Part, ...]
    sizes: tuple[Part, ...]
    pixels: PixelSummary | None
    pixel_conditions: tuple[PixelRow, ...]


class Baseline(Frozen):
    """A prior that looks at no pixel."""

    label: str
    summary: str
    pixels: PixelSummary


class PictureReport(Frozen):
    """The result of `forensics.evaluate` on pictures.

    Attributes:
        pictures: asked for; labels, groups, masks: counted over them.
        faces: figures by whom the pictures claim to show; None where they claim nobody.
    """

    material: str
    pictures: int
    labels: dict[str, int]
    groups: int
    masks: int
    detectors: tuple[PictureFigures, ...]
    baselines: tuple[Baseline, ...]
    not_judged: tuple[NotJudged, ...]
    notes: tuple[str, ...]
    settings: Settings
    seconds: float
    forensics_version: str
    faces: FaceReport | None = None

    @property
    def exit_code(self) -> int:
        return 3 if self.not_judged else 0
