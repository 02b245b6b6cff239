"""Writes items of a corpus in the formats of the field; media and masks are copied, not decoded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO, Literal, Protocol

from forensics.corpus.exchange.folders import METADATA
from forensics.corpus.exchange.lists import NEGATIVE
from forensics.shards.format import Item, canonical_json

ExportFormat = Literal["imdl-benco", "tp-gt", "folders"]


class Layout(Protocol):
    """One folder that is being filled."""

    def add(self, item: Item) -> bool:
        """Write one image item; False where the format has no place for it."""
        ...

    def close(self) -> None:
        """Write what stands at the end."""
        ...


class Folders:
    """`images/`, `masks/`, and a `metadata.jsonl` that keeps all that the corpus says of each."""

    def __init__(self, root: Path):
        self._root = root
        for name in ("images", "masks"):
            (root / name).mkdir(parents=True)
        self._metadata: IO[bytes] = (root / METADATA).open("wb")

    def add(self, item: Item) -> bool:
        image, mask = _put(item, self._root, "images", "masks")
        line = item.meta.model_dump(mode="json", exclude_none=True)
        line |= {"file_name": f"images/{image.name}", **_mode(item)}
        if mask is not None:
            line["mask"] = f"masks/{mask.name}"
        self._metadata.write(canonical_json(line) + b"\n")
        return True

    def close(self) -> None:
        self._metadata.close()


class TpGt:
    """`Tp/` and `Gt/` of the same names, `Au/` for the pristine."""

    def __init__(self, root: Path):
        self._root = root
        for name in ("Tp", "Gt"):
            (root / name).mkdir(parents=True)

    def add(self, item: Item) -> bool:
        if item.meta.label == "spoof" and item.mask is None:
            return False
        if item.meta.label == "bonafide":
            (self._root / "Au").mkdir(exist_ok=True)
        _put(item, self._root, "Tp" if item.meta.label == "spoof" else "Au", "Gt")
        return True

    def close(self) -> None:
        """Nothing stands at the end."""


class ImdlBenco:
    """`images/`, `masks/` and the list `imdl_benco.json`, in which paths are absolute: its readers
    take them as relative to wherever they run."""

    def __init__(self, root: Path):
        self._root = root.resolve()
        for name in ("images", "masks"):
            (self._root / name).mkdir(parents=True)
        self._pairs: list[tuple[str, str]] = []

    def add(self, item: Item) -> bool:
        if item.meta.label == "spoof" and item.mask is None:
            return False
        image, mask = _put(item, self._root, "images", "masks")
        self._pairs.append((str(image), NEGATIVE if mask is None else str(mask)))
        return True

    def close(self) -> None:
        lines = ",\n".join(json.dumps(pair, ensure_ascii=False) for pair in self._pairs)
        (self._root / "imdl_benco.json").write_text(f"[\n{lines}\n]\n", encoding="utf-8")


LAYOUTS: dict[ExportFormat, type[Folders] | type[TpGt] | type[ImdlBenco]] = {
    "imdl-benco": ImdlBenco,
    "tp-gt": TpGt,
    "folders": Folders,
}


def _put(item: Item, root: Path, images: str, masks: str) -> tuple[Path, Path | None]:
    image = root / images / f"{item.key}.{item.extension}"
    image.write_bytes(item.media)
    if item.mask is None or item.meta.label == "bonafide":
        return image, None
    mask = root / masks / f"{item.key}.png"
    mask.write_bytes(item.mask)
    return image, mask


def _mode(item: Item) -> dict[str, str]:
    """The mode beside the other fields, where every reader looks for it."""
    mode = item.meta.params.get("mode")
    return {"mode": mode} if isinstance(mode, str) else {}
