"""An evaluation as one HTML file: no scripts, nothing fetched, every name escaped."""

from __future__ import annotations

import base64
from importlib import resources

from forensics.evaluation import plots
from forensics.evaluation.run import Evaluation
from forensics.evaluation.sweep import CLEAN
from forensics.evaluation.text import NAMES, answers, estimate, sources_note


def as_html(evaluation: Evaluation) -> str:
    """The whole page."""
    from jinja2 import Environment, StrictUndefined

    report = evaluation.report
    clean = {one.label: evaluation.scored[one.label, CLEAN] for one in report.detectors}
    pictures = {
        "DET and ROC curves": plots.curves(clean),
        "How the scores spread": plots.histograms(clean, report.detectors),
        "EER by condition": plots.sweep(report.detectors),
    }
    template = resources.files("forensics.evaluation").joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.globals.update(
        estimate=estimate, answers=answers, sources_note=sources_note, names=NAMES
    )
    return environment.from_string(template).render(
        r=report,
        pictures={
            title: base64.b64encode(data).decode() for title, data in pictures.items() if data
        },
    )
