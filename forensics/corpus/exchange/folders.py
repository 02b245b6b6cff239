"""Folders that pair pictures with masks: `Tp/` + `Gt/`, and `images/` + `masks/`."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from forensics.corpus.exchange.lists import read_text
from forensics.corpus.exchange.records import LabelledImage, labelled, named_mask
from forensics.errors import UsageError
from forensics.media.image import read_mask
from forensics.media.sniff import IMAGE_EXTENSIONS

METADATA = "metadata.jsonl"
# How masks are named after their picture: Tp_1.jpg → Tp_1_gt.png.
_MASK_ENDING = re.compile(r"[ _.-]?(gt|mask|groundtruth|edgemask|forged)$", re.IGNORECASE)


def read_tp_gt(folder: Path, by_order: bool = False) -> list[LabelledImage]:
    """`Tp/` forged, `Gt/` masks, paired in sorted order as IMDL-BenCo pairs them; `Au/`, where it
    is there, pristine (CASIA).

    Args:
        by_order: pair by order alone, even where the stems do not belong together.

    Raises:
        UsageError: no such folders, other numbers of files, a pair whose stems differ by more than
            an ending such as `_gt` or `_mask`.
    """
    forged, masks = pictures_in(folder / "Tp"), pictures_in(folder / "Gt")
    for image, mask in zip_longest(forged, masks):
        together = image and mask and _belongs(image.stem, mask.stem)
        if not together and not (by_order and len(forged) == len(masks)):
            raise UsageError(
                f"{folder}: Tp has {len(forged)} files, Gt {len(masks)}; in sorted order "
                f"{image.name if image else 'nothing'} meets {mask.name if mask else 'nothing'}",
                "rename or remove what has no partner"
                + ("; or pair by order" if len(forged) == len(masks) else ""),
            )
    pairs = zip(forged, masks, strict=True)
    found = [labelled(str(image), folder, image, mask, "spoof") for image, mask in pairs]
    if (folder / "Au").is_dir():
        real = pictures_in(folder / "Au")
        found += [labelled(str(image), folder, image, None, "bonafide") for image in real]
    return found


def read_folders(folder: Path) -> list[LabelledImage]:
    """`images/` and `masks/` of the same stems, `originals/` and `metadata.jsonl` beside them.

    A line of the metadata is for the picture that its `file_name` (or `image`) names, relative to
    the folder or to `images/`; it may state label, mask, group, system, kind, mode, split and
    licence. Where it states no label, the mask does: any white pixel means a spoof. `originals/`
    are pristine and share the group of the picture with their stem.

    Raises:
        UsageError: naming file and line: no such folder, a picture with neither label nor mask, a
            mask or a line without a picture.
        MediaError: a mask that must tell the label cannot be read.
    """
    masks = _by_stem(pictures_in(folder / "masks")) if (folder / "masks").is_dir() else {}
    images = _by_stem(pictures_in(folder / "images"))
    orphans = sorted(masks.keys() - images.keys())
    if orphans:
        raise UsageError(
            f"{folder}: the mask {masks[orphans[0]].name} belongs to no image",
            "remove or rename it",
        )
    lines = _metadata(folder, images)
    found = {stem: _record(folder, image, masks.get(stem), lines) for stem, image in images.items()}
    if (folder / "originals").is_dir():
        for original in pictures_in(folder / "originals"):
            copy = found.get(original.stem)
            fields = {"group": copy.group, "split": copy.split} if copy else {}
            # Beside the copies: the same stem may not hide one.
            found[f"originals/{original.stem}"] = labelled(
                str(original), folder, original, None, "bonafide", fields
            )
    return list(found.values())


def pictures_in(folder: Path) -> list[Path]:
    """The image files of a folder by their extensions, sorted by name.

    Raises:
        UsageError: it is not there or holds none.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder}", "check the layout")
    found = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_EXTENSIONS and not path.name.startswith(".")
    ]
    if not found:
        raise UsageError(f"{folder} holds no images", "check the layout")
    return found


def _belongs(image: str, mask: str) -> bool:
    return image in (mask, _MASK_ENDING.sub("", mask))


def _by_stem(paths: list[Path]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        if path.stem in found:
            raise UsageError(
                f"{path.parent}: {found[path.stem].name} and {path.name} have one stem",
                "rename one of them",
            )
        found[path.stem] = path
    return found


def _metadata(folder: Path, images: dict[str, Path]) -> dict[Path, tuple[str, dict[str, Any]]]:
    """By picture: where its line stands, and the line."""
    path = folder / METADATA
    if not path.exists():
        return {}
    known = set(images.values())
    found: dict[Path, tuple[str, dict[str, Any]]] = {}
    for where, line in _jsonl(path):
        name = line.get("file_name") or line.get("image")
        if not isinstance(name, str):
            raise UsageError(f"{where}: no file_name", "name the image it is about")
        picture = next((p for p in (folder / name, folder / "images" / name) if p in known), None)
        if picture is None:
            raise UsageError(f"{where}: there is no image {name}", "remove the line")
        if picture in found:
            raise UsageError(f"{where}: {name} has a line already", "remove one of them")
        found[picture] = (where, line)
    return found


def _jsonl(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for number, text in enumerate(read_text(path).split("\n"), 1):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{where}: not JSON ({error})", "mend the line") from error
        if not isinstance(value, dict):
            raise UsageError(f"{where}: not a JSON object", "mend the line")
        yield where, value


def _record(
    folder: Path,
    image: Path,
    mask: Path | None,
    lines: dict[Path, tuple[str, dict[str, Any]]],
) -> LabelledImage:
    where, fields = lines.get(image, (str(image), {}))
    stated = fields.get("label")
    label = None if stated is None else str(stated)
    chosen = named_mask(fields) or mask
    if label is None and chosen is None:
        raise UsageError(
            f"{where}: {image.name} has neither a mask nor a label",
            f"state its label in {METADATA}",
        )
    if label is None:
        record = labelled(where, folder, image, chosen, "spoof", fields)
        assert record.mask is not None
        if read_mask(record.mask).any():
            return record
        label = "bonafide"
    return labelled(where, folder, image, chosen, label, fields)
