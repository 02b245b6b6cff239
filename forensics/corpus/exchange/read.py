"""The one way in: labelled pictures out of any of the formats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from forensics.corpus.exchange.folders import read_folders, read_tp_gt
from forensics.corpus.exchange.lists import read_csv, read_imdl_benco
from forensics.corpus.exchange.records import LabelledImage
from forensics.errors import UsageError

ListFormat = Literal["imdl-benco", "tp-gt", "folders", "csv"]

_FIX = (
    "name a JSON list of IMDL-BenCo, a CSV (path, label, mask), or a folder with Tp/ and Gt/, or "
    "with images/ and masks/"
)


def read_labelled(path: Path, by_order: bool = False) -> list[LabelledImage]:
    """Read a list or a folder, whichever it is; see `read_imdl_benco`, `read_csv`, `read_tp_gt`,
    `read_folders`.

    Args:
        by_order: pair `Tp/` and `Gt/` by sorted order alone.

    Raises:
        UsageError: none of these, or a fault, with file and line.
    """
    format = told_format(path)
    if format == "imdl-benco":
        found = read_imdl_benco(path)
    elif format == "csv":
        found = read_csv(path)
    elif format == "tp-gt":
        return read_tp_gt(path, by_order)
    else:
        return read_folders(path)
    if not found:
        raise UsageError(f"{path} lists no images", _FIX)
    return found


def told_format(path: Path) -> ListFormat:
    """Which format a path is in, by what lies there.

    Raises:
        UsageError: none that is known.
    """
    if path.is_dir():
        if (path / "Tp").is_dir():
            return "tp-gt"
        if (path / "images").is_dir():
            return "folders"
    elif path.suffix.lower() in (".json", ".csv"):
        return "imdl-benco" if path.suffix.lower() == ".json" else "csv"
    raise UsageError(f"{path} is no list of labelled images that is known", _FIX)
