"""An evaluation on pictures as one HTML file: no scripts, nothing fetched, every name escaped."""

from __future__ import annotations

import base64
from importlib import resources

from forensics.evaluation import plots
from forensics.evaluation.images import plots as pixel_plots
from forensics.evaluation.images.run import PictureEvaluation
from forensics.evaluation.images.text import PIXELS, SHORT, WHOLE
from forensics.evaluation.sweep import CLEAN
from forensics.evaluation.text import answers, estimate


def as_html(evaluation: PictureEvaluation) -> str:
    """The whole page."""
    from jinja2 import Environment, StrictUndefined

    report = evaluation.report
    clean = {one.label: evaluation.scored[one.label, CLEAN] for one in report.detectors}
    sizes = {one.label: one.pixels.sizes for one in report.detectors if one.pixels}
    sizes |= {one.label: one.pixels.sizes for one in report.baselines}
    sweeps = {one.label: one.pixel_conditions for one in report.detectors}
    pictures = {
        "DET and ROC curves of whole pictures": plots.curves(clean),
        "How the scores spread": plots.histograms(clean, report.detectors),
        "Pixels by size of the region": pixel_plots.by_size(sizes),
        "EER by condition": plots.sweep(report.detectors),
        "Pixels by condition": pixel_plots.by_condition(sweeps),
    }
    package = resources.files("forensics.evaluation.images")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.globals.update(
        estimate=estimate, answers=answers, whole=WHOLE, pixels=PIXELS, short=SHORT
    )
    return environment.from_string(package.joinpath("page.html").read_text("utf-8")).render(
        r=report,
        pictures={
            title: base64.b64encode(data).decode() for title, data in pictures.items() if data
        },
    )
