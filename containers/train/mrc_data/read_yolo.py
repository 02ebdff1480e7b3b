"""YOLO segmentation: ``data.yaml``, and for each image a text file with one normalized polygon a line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from mrc_train.data.problems import DataError
from mrc_train.prediction_files import IMAGE_SUFFIXES

from mrc_data.shapes import of_box, of_polygons
from mrc_data.source import Object, Source, SourceImage, size_of, split_named


def yolo_file(source: Path) -> Path | None:
    """The YAML file of a YOLO data set, or None."""
    candidates = [source] if source.is_file() else [*source.glob("*.yaml"), *source.glob("*.yml")]
    for file in sorted(candidates):
        if file.suffix in (".yaml", ".yml") and isinstance(_content(file).get("names"), (list, dict)):
            return file
    return None


def _content(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_bytes())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def read_yolo(file: Path) -> Source:
    """Read a YOLO data set. Rows of a polygon become masks, rows of a box (class and 4 numbers) boxes.

    Every image below the file's directory is read that is in a directory ``images``; its labels are in the
    directory ``labels`` beside that one. The split is the name of one of its directories.

    Raises:
        DataError: for a row that is not YOLO's, a class without a name, and a data set without images.
    """
    raw = _content(file)["names"]
    names = {int(key): str(name) for key, name in (raw.items() if isinstance(raw, dict) else enumerate(raw))}
    source = Source([names[index] for index in sorted(names)], [])
    for path in sorted(file.parent.rglob("*")):
        parts = path.relative_to(file.parent).parts
        if path.suffix.lower() not in IMAGE_SUFFIXES or "images" not in parts[:-1]:
            continue
        split = next(filter(None, map(split_named, parts[:-1])), None)
        if split == "test":
            source.skipped["images of a test split"] += 1
            continue
        at = len(parts) - 2 - parts[-2::-1].index("images")
        labels = file.parent.joinpath(*parts[:at], "labels", *parts[at + 1 :]).with_suffix(".txt")
        size = size_of(path)
        source.images.append(SourceImage(path, size, list(_objects(labels, size, names)), split))
    if not source.images:
        raise DataError(f"{file.parent}: no image in a directory 'images' below it", "MRD007")
    return source


def _objects(file: Path, size: tuple[int, int], names: dict[int, str]) -> Iterator[Object]:
    """The objects of an image; none without a file of labels."""
    if not file.exists():
        return
    height, width = size
    for number, row in enumerate(file.read_text("utf-8", "replace").splitlines(), start=1):
        if not row.strip():
            continue
        where = f"{file}:{number}"
        try:
            label, *numbers = row.split()
            category = names[int(label)]
            values = np.array(numbers, np.float64)
        except KeyError:
            raise DataError(f"{where}: class {label} has no name in the YAML file", "MRD002") from None
        except ValueError:
            raise DataError(f"{where}: not a row of numbers", "MRD004") from None
        if len(values) == 4:
            x, y, w, h = values * [width, height, width, height]
            yield Object(category, of_box(x - w / 2, y - h / 2, x + w / 2, y + h / 2))
        elif len(values) >= 6 and len(values) % 2 == 0 and np.isfinite(values).all():
            yield Object(category, of_polygons([values.reshape(-1, 2) * [width, height]]))
        else:
            raise DataError(
                f"{where}: {len(values)} numbers after the class, expected 4 (a box) or x, y of at least "
                "3 points",
                "MRD004",
            )
