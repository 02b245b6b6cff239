"""An evaluation for people, of speech or pictures: lines for a terminal, or a page."""

from __future__ import annotations

from forensics.evaluation import html, text
from forensics.evaluation.images import html as picture_html
from forensics.evaluation.images import text as picture_text
from forensics.evaluation.images.run import PictureEvaluation
from forensics.evaluation.run import Evaluation


def as_text(found: Evaluation | PictureEvaluation) -> str:
    if isinstance(found, PictureEvaluation):
        return picture_text.as_text(found.report)
    return text.as_text(found.report)


def as_html(found: Evaluation | PictureEvaluation) -> str:
    return (
        picture_html.as_html(found) if isinstance(found, PictureEvaluation) else html.as_html(found)
    )
