"""An audit as one HTML file: no scripts, nothing fetched, every name escaped."""

from __future__ import annotations

import base64
import io
from importlib import resources

from forensics.auditing.report import AuditReport, Leak

_COLOURS = {"pass": "#2f7d4f", "fail": "#b3261e", "inconclusive": "#b07d00", "reported": "#6b7280"}


def as_html(report: AuditReport) -> str:
    """The whole page."""
    from jinja2 import Environment, StrictUndefined

    template = resources.files("forensics.auditing").joinpath("page.html").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined)
    chart = base64.b64encode(_chart(report)).decode()
    return environment.from_string(template).render(r=report, chart=chart, colours=_COLOURS)


def _chart(report: AuditReport) -> bytes:
    """PNG: AUC by family with its interval, and a tick at the limit."""
    from matplotlib.figure import Figure

    leaks = list(reversed(report.families))
    figure = Figure(figsize=(7.5, 0.34 * len(leaks) + 0.9), layout="constrained")
    axes = figure.subplots()
    for place, leak in enumerate(leaks):
        _bar(axes, place, leak)
    axes.axvline(0.5, color="black", linewidth=0.8)
    axes.set_yticks(range(len(leaks)), [leak.family for leak in leaks])
    axes.set_xlim(0.3, 1.0)
    axes.set_xlabel("held-out AUC, 95 % interval; red tick: limit; 0.5: says nothing")
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _bar(axes, place: int, leak: Leak) -> None:
    if leak.auc is not None and leak.low is not None and leak.high is not None:
        axes.barh(place, leak.auc - 0.5, left=0.5, height=0.6, color=_COLOURS[leak.status])
        axes.plot([leak.low, leak.high], [place, place], color="black", linewidth=1.2)
    if leak.limit is not None:
        axes.plot([leak.limit] * 2, [place - 0.4, place + 0.4], color="#ff2d20", linewidth=1.6)
