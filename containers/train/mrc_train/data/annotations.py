"""Reading a COCO annotation file: the one place that decides what an object is, for training and evaluation.

Annotation tools write the same fields in different ways: ``iscrowd`` as null or as a string, sizes as 64.0,
ids of any size, dates as 0. Only the fields that are needed are read, and each is normalised here. What would
make every later number wrong is a DataError; objects that COCO files are known to contain by mistake are left
out and counted.
"""

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mrc_cli.errors import UserError

from mrc_train.data.categories import Categories
from mrc_train.data.masks import Segmentation, clean_segmentation, has_pixels

EMPTY_BOX = "objects whose box has no area inside the image"
NO_MASK = "objects without a usable segmentation"

MIN_BOX_SIDE = 0.01
"""In pixels: a smaller side can round to nothing when float32 coordinates are scaled or mirrored."""

_INT64 = range(-(1 << 63), 1 << 63)


class DataError(UserError):
    """Data that cannot be trained on or evaluated."""


@dataclass(frozen=True)
class AnnotatedImage:
    """An entry of ``images``; height and width in pixels."""

    id: int
    file_name: str
    height: int
    width: int


@dataclass(frozen=True)
class AnnotatedObject:
    """An entry of ``annotations`` that can be trained on and scored.

    bbox: x, y, width, height in pixels as annotated, not clipped to the image; area: as annotated, in pixels,
    or the box's; segmentation: None where masks are not wanted.
    """

    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]
    area: float
    crowd: bool
    segmentation: Segmentation | None


@dataclass(frozen=True)
class Annotations:
    """The usable content of an annotation file.

    objects: by image id, for every image; dropped: what was left out, and how often; notes: for the log.
    """

    file: Path
    categories: Categories
    images: Mapping[int, AnnotatedImage]
    objects: Mapping[int, Sequence[AnnotatedObject]]
    dropped: Mapping[str, int]
    notes: Sequence[str]


def read_annotations(path: Path, masks: bool) -> Annotations:
    """Read a COCO instances file.

    With ``masks``, an object without a usable segmentation is left out; otherwise segmentations are not read.
    Raises DataError for a missing file, a file that is not COCO's, duplicate ids, and objects of an unknown
    image or category.
    """
    content = _read_json(path)
    categories = _categories(content["categories"], path)
    images = _images(content["images"], path)
    objects: dict[int, list[AnnotatedObject]] = {image_id: [] for image_id in images}
    known_categories = frozenset(categories.coco_ids)
    dropped: Counter[str] = Counter()
    for index, entry in enumerate(content["annotations"], start=1):
        where = f"{path}: annotation number {index} (id {entry.get('id')})"
        image_id = _integer(entry, "image_id", where)
        category_id = _integer(entry, "category_id", where)
        image = images.get(image_id)
        if image is None:
            raise DataError(f"{where} is of image {image_id}, which is not in 'images'")
        if category_id not in known_categories:
            raise DataError(f"{where} is of category {category_id}, which is not in 'categories'")
        bbox = _bbox(entry.get("bbox"), where)
        if not _has_area(bbox, image):
            dropped[EMPTY_BOX] += 1
            continue
        segmentation = None
        if masks:
            segmentation = clean_segmentation(entry.get("segmentation"), image.height, image.width)
            if segmentation is None or not has_pixels(segmentation, image.height, image.width):
                dropped[NO_MASK] += 1
                continue
        area = _number(entry.get("area"), default=bbox[2] * bbox[3])
        crowd = _is_crowd(entry.get("iscrowd"))
        objects[image_id].append(AnnotatedObject(image_id, category_id, bbox, area, crowd, segmentation))
    return Annotations(path, categories, images, objects, dict(dropped), _notes(content["categories"]))


def _notes(categories: Sequence[Mapping[str, Any]]) -> list[str]:
    counts = Counter(entry["name"] for entry in categories)
    return [
        f"{count} categories are called {name}; the id is added to their names"
        for name, count in counts.items()
        if count > 1
    ]


def clipped(bbox: tuple[float, float, float, float], height: int, width: int) -> tuple[float, ...]:
    """x1, y1, x2, y2 of the part of a box that is inside an image."""
    x, y, w, h = bbox
    return max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))


def _has_area(bbox: tuple[float, float, float, float], image: AnnotatedImage) -> bool:
    if not all(map(math.isfinite, bbox)):
        return False
    x1, y1, x2, y2 = clipped(bbox, image.height, image.width)
    return x2 - x1 >= MIN_BOX_SIDE and y2 - y1 >= MIN_BOX_SIDE


def _read_json(path: Path) -> dict[str, list[dict[str, Any]]]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}; DATA.BASEDIR needs <split>/, annotations/instances_<split>.json"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: not a COCO instances file: nested too deeply") from None
    except ValueError as error:
        raise DataError(f"{path}: not a JSON file: {error}") from None
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: no list of objects {key!r} at its top level: not a COCO instances file")
    return content  # type: ignore[no-any-return]


def _categories(entries: Sequence[dict[str, Any]], file: Path) -> Categories:
    names: dict[int, str] = {}
    for index, entry in enumerate(entries, start=1):
        where = f"{file}: category number {index}"
        coco_id = _unique(_integer(entry, "id", where), names, "category", file)
        names[coco_id] = _string(entry, "name", where)
    if not names:
        raise DataError(f"{file}: 'categories' is empty: there is nothing to learn")
    counts = Counter(names.values())
    ids = sorted(names)
    # Told apart in every message and table.
    unique = [names[i] if counts[names[i]] == 1 else f"{names[i]} (id {i})" for i in ids]
    return Categories(tuple(unique), tuple(ids))


def _images(entries: Sequence[dict[str, Any]], file: Path) -> dict[int, AnnotatedImage]:
    images: dict[int, AnnotatedImage] = {}
    for index, entry in enumerate(entries, start=1):
        where = f"{file}: image number {index}"
        image_id = _unique(_integer(entry, "id", where), images, "image", file)
        height, width = (_integer(entry, key, where) for key in ("height", "width"))
        if height < 1 or width < 1:
            raise DataError(f"{file}: image {image_id} is {width} x {height} pixels")
        name = _string(entry, "file_name", where)
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts:
            raise DataError(f"{file}: image {image_id}: {name} leaves the split's directory")
        images[image_id] = AnnotatedImage(image_id, name, height, width)
    if not images:
        raise DataError(f"{file}: 'images' is empty")
    return images


def _unique(number: int, known: Iterable[int], kind: str, file: Path) -> int:
    if number in known:
        raise DataError(f"{file}: {kind} id {number} is given to more than one {kind}")
    return number


def _integer(entry: Mapping[str, Any], key: str, where: str) -> int:
    """An integer of at most 64 bits; a whole float is one, a boolean is not."""
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{where} has {key}={_shown(value)}, expected an integer")
    if value not in _INT64:
        raise DataError(f"{where} has {key}={_shown(value)}, expected an integer of at most 64 bits")
    return value


def _string(entry: Mapping[str, Any], key: str, where: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise DataError(f"{where} has {key}={_shown(value)}, expected a string")
    # A lone surrogate can be written to no file and no terminal.
    return value.encode("utf-8", "backslashreplace").decode()


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4300 digits
        return "a huge integer"
    return text if len(text) <= 60 else f"{text[:60]}..."


def _bbox(value: Any, where: str) -> tuple[float, float, float, float]:
    if isinstance(value, list) and len(value) == 4:
        numbers = [_float(number) for number in value]
        if all(number is not None for number in numbers):
            return tuple(numbers)  # type: ignore[return-value]
    raise DataError(f"{where} has no 'bbox' of four numbers [x, y, width, height]")


def _float(value: Any) -> float | None:
    """A JSON number as a float: infinite where it is too large for one. None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def _number(value: Any, default: float) -> float:
    """A finite number of at least 0, also one written as a string; ``default`` for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return default
    return number if math.isfinite(number) and number >= 0 else default


def _is_crowd(value: Any) -> bool:
    return value.strip().lower() in ("1", "true") if isinstance(value, str) else value in (1, True)
