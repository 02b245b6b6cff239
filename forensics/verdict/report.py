"""An HTML report of verdicts: one file, no scripts, nothing loaded from elsewhere."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from forensics.errors import MachineError
from forensics.verdict.plots import layer_map, timeline
from forensics.verdict.schema import Verdict

MAX_PICTURES = 200  # beyond them cards come without one, so that the page still opens


def render_report(
    verdicts: Sequence[Verdict],
    sources: Sequence[Path | bytes | None] | None = None,
    thumbnails: Mapping[int, str] | None = None,
) -> str:
    """HTML of a summary table and one card a file.

    Everything that a file says of itself is escaped: names and tags are hostile input.

    Args:
        sources: the files, in the order of `verdicts`, to draw their waveforms from.
        thumbnails: data URIs of overlays, by the place of their verdict.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    files = sources if sources is not None else [None] * len(verdicts)
    cards = []
    left = MAX_PICTURES
    for index, (verdict, source) in enumerate(zip(verdicts, files, strict=True)):
        drawn = timeline(verdict, source) if left else None
        layers = [
            (entry, shown)
            for entry in verdict.detectors
            if left and (shown := layer_map(entry.explanation))
        ]
        left -= drawn is not None
        overlay = (thumbnails or {}).get(index)
        cards.append({"verdict": verdict, "picture": drawn, "layers": layers, "overlay": overlay})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html").render(
        cards=cards,
        counts=Counter(verdict.label for verdict in verdicts),
        written=datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    )


def write_report(
    verdicts: Sequence[Verdict],
    path: str | os.PathLike[str],
    sources: Sequence[Path | bytes | None] | None = None,
    thumbnails: Mapping[int, str] | None = None,
) -> None:
    """Write `render_report` to a file, whole or not at all.

    Raises:
        MachineError: it cannot be written.
    """
    target = Path(path)
    part = target.with_name(target.name + ".part")
    try:
        part.write_text(render_report(verdicts, sources, thumbnails), encoding="utf-8")
        part.replace(target)
    except OSError as error:
        raise MachineError(
            f"{target} cannot be written: {error.strerror}", "name another"
        ) from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before the work whether a report can be written.

    Raises:
        MachineError: the folder is missing or cannot be written.
    """
    folder = Path(path).absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or Path(path).is_dir():
        raise MachineError(f"{path} cannot be written", "name a file in a folder that is there")
