"""Reading a COCO annotation file: the one place that decides what an object is, for training and evaluation.

Annotation tools write the same fields in different ways: ``iscrowd`` as null or as a string, sizes as 64.0,
ids of any size, dates as 0. Only the fields that are needed are read, and each is normalised here. What would
make every later number wrong is a DataError; objects that COCO files are known to contain by mistake are left
out and counted.
"""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from mrc_cli.findings import ValuePath

from mrc_train.data.categories import Categories
from mrc_train.data.masks import Segmentation, clean_segmentation, defect_of, has_pixels
from mrc_train.data.patterns import Geometry, find_patterns, mask_bounds
from mrc_train.data.problems import DataError, Problem, raise_error

__all__ = ["AnnotatedImage", "AnnotatedObject", "Annotations", "DataError", "clipped", "read_annotations"]

EMPTY_BOX = "objects whose box has no area inside the image"
NO_MASK = "objects without a usable segmentation"

MIN_BOX_SIDE = 0.01
"""In pixels: a smaller side can round to nothing when float32 coordinates are scaled or mirrored."""

MAX_COORDINATE = 1e9
"""In pixels; larger numbers, infinity and NaN are no coordinates."""

_INT64 = range(-(1 << 63), 1 << 63)


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

    objects: by image id, for every image; dropped: what was left out, and how often; problems: what is
    doubtful, also about the objects that were left out.
    """

    file: Path
    categories: Categories
    images: Mapping[int, AnnotatedImage]
    objects: Mapping[int, Sequence[AnnotatedObject]]
    dropped: Mapping[str, int]
    problems: Sequence[Problem]


def read_annotations(
    path: Path, masks: bool, report: Callable[[DataError], None] = raise_error
) -> Annotations:
    """Read a COCO instances file.

    With ``masks``, an object without a usable segmentation is left out; otherwise segmentations are not read.
    ``report`` gets every error in an entry; if it returns, the entry is left out.

    Raises:
        DataError: for a missing file and one that is not COCO's, whatever ``report`` does.
    """
    content = _read_json(path)
    categories = _categories(content["categories"], path, report)
    images = _images(content["images"], path, report)
    reader = _ObjectReader(path, images, frozenset(categories.coco_ids), masks)
    for index, entry in enumerate(content["annotations"]):
        try:
            reader.read(index, entry)
        except DataError as error:
            report(error)
    return Annotations(
        path,
        categories,
        images,
        reader.objects,
        reader.dropped(),
        [*_same_names(content["categories"]), *reader.problems(report)],
    )


@dataclass
class _ObjectReader:
    """Reads the entries of ``annotations`` one after the other, and counts what is doubtful."""

    path: Path
    images: Mapping[int, AnnotatedImage]
    category_ids: frozenset[int]
    masks: bool
    objects: dict[int, list[AnnotatedObject]] = field(init=False)
    total: int = 0
    empty_boxes: list[int] = field(default_factory=list)
    without_mask: list[tuple[int, str]] = field(default_factory=list)
    odd_crowds: list[int] = field(default_factory=list)
    geometry: list[tuple[int, tuple[float, ...], AnnotatedImage, tuple[float, ...]]] = field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        self.objects = {image_id: [] for image_id in self.images}

    def read(self, index: int, entry: Mapping[str, Any]) -> None:
        """Add an object, or count the reason why it is left out. Raises DataError."""
        self.total += 1
        where = f"{self.path}: annotation number {index + 1} (id {_shown(entry.get('id'))})"
        at: ValuePath = ("annotations", index)
        image_id = _integer(entry, "image_id", where, "MRD004", at)
        category_id = _integer(entry, "category_id", where, "MRD004", at)
        image = self.images.get(image_id)
        if image is None:
            raise DataError(
                f"{where} is of image {image_id}, which is not in 'images'", "MRD004", (*at, "image_id")
            )
        if category_id not in self.category_ids:
            raise DataError(
                f"{where} is of category {category_id}, which is not in 'categories'",
                "MRD004",
                (*at, "category_id"),
            )
        bbox = _bbox(entry.get("bbox"), where, at)
        if entry.get("iscrowd", 0) not in (0, 1):
            self.odd_crowds.append(index)
        raw = entry.get("segmentation")
        segmentation = clean_segmentation(raw, image.height, image.width) if self.masks else None
        if all(abs(number) < MAX_COORDINATE for number in bbox):
            self.geometry.append((index, bbox, image, mask_bounds(segmentation)))
        if not _has_area(bbox, image):
            self.empty_boxes.append(index)
            return
        if self.masks and (segmentation is None or not has_pixels(segmentation, image.height, image.width)):
            self.without_mask.append((index, defect_of(raw, image.height, image.width)))
            return
        area = _number(entry.get("area"), default=bbox[2] * bbox[3])
        crowd = _is_crowd(entry.get("iscrowd"))
        self.objects[image_id].append(AnnotatedObject(image_id, category_id, bbox, area, crowd, segmentation))

    def dropped(self) -> dict[str, int]:
        """How many objects were left out, by reason."""
        counts = {EMPTY_BOX: len(self.empty_boxes), NO_MASK: len(self.without_mask)}
        return {reason: count for reason, count in counts.items() if count}

    def problems(self, report: Callable[[DataError], None]) -> list[Problem]:
        """What is doubtful about the objects."""
        problems = []
        if self.empty_boxes:
            message = "boxes have no area inside their image; the objects are left out."
            fix = "Delete them, or correct their boxes."
            problems.append(self._problem("MRD020", self.empty_boxes, "bbox", message, fix))
        if self.without_mask:
            reasons = Counter(reason for _, reason in self.without_mask).most_common()
            listed = ", ".join(f"{count} {reason}" for reason, count in reasons)
            message = f"objects have no usable segmentation and are left out: {listed}."
            fix = "Export masks, or set MODE_MASK=False to train on boxes alone."
            indices = [index for index, _ in self.without_mask]
            problems.append(self._problem("MRD021", indices, "segmentation", message, fix))
        if self.odd_crowds:
            message = 'objects have an iscrowd other than 0 and 1: "1", "true" count as 1, the others as 0.'
            problems.append(self._problem("MRD025", self.odd_crowds, "iscrowd", message, "Write 0 or 1."))
        try:
            problems += find_patterns(self._geometry())
        except DataError as error:
            report(DataError(f"{self.path}: {error}", error.rule, error.path))
        return problems

    def _problem(self, rule: str, indices: Sequence[int], key: str, message: str, fix: str) -> Problem:
        counted = f"{len(indices)} of {self.total} {message}"
        return Problem(rule, ("annotations", indices[0], key), counted, fix)

    def _geometry(self) -> Geometry:
        indices, boxes, images, bounds = zip(*self.geometry, strict=True) if self.geometry else ((),) * 4
        return Geometry(
            np.array(indices, np.int64),
            np.array(boxes, np.float64).reshape(-1, 4),
            np.array([(image.width, image.height) for image in images], np.float64).reshape(-1, 2),
            np.array(bounds, np.float64).reshape(-1, 4),
        )


def _same_names(categories: Sequence[Mapping[str, Any]]) -> list[Problem]:
    names = [entry.get("name") for entry in categories]
    counts = Counter(name for name in names if isinstance(name, str))
    return [
        Problem(
            "MRD027",
            ("categories", names.index(name), "name"),
            f"{count} categories are called {name}; the id is added to their names.",
            "Rename them, or merge them into one.",
        )
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
            f"{path}: {error.strerror}; DATA.BASEDIR needs <split>/, annotations/instances_<split>.json",
            "MRD007",
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


def _categories(
    entries: Sequence[dict[str, Any]], file: Path, report: Callable[[DataError], None]
) -> Categories:
    names: dict[int, str] = {}
    for index, entry in enumerate(entries):
        where = f"{file}: category number {index + 1}"
        at: ValuePath = ("categories", index)
        try:
            coco_id = _unique(_integer(entry, "id", where, "MRD002", at), names, "category", file, at)
            names[coco_id] = _string(entry, "name", where, "MRD002", at)
        except DataError as error:
            report(error)
    if not entries:
        raise DataError(
            f"{file}: 'categories' is empty: there is nothing to learn", "MRD002", ("categories",)
        )
    counts = Counter(names.values())
    ids = sorted(names)
    # Told apart in every message and table.
    unique = [names[i] if counts[names[i]] == 1 else f"{names[i]} (id {i})" for i in ids]
    return Categories(tuple(unique), tuple(ids))


def _images(
    entries: Sequence[dict[str, Any]], file: Path, report: Callable[[DataError], None]
) -> dict[int, AnnotatedImage]:
    images: dict[int, AnnotatedImage] = {}
    for index, entry in enumerate(entries):
        try:
            image = _image(entry, file, index, images)
        except DataError as error:
            report(error)
        else:
            images[image.id] = image
    if not entries:
        raise DataError(f"{file}: 'images' is empty", "MRD003", ("images",))
    return images


def _image(entry: Mapping[str, Any], file: Path, index: int, known: Iterable[int]) -> AnnotatedImage:
    where = f"{file}: image number {index + 1}"
    at: ValuePath = ("images", index)
    image_id = _unique(_integer(entry, "id", where, "MRD003", at), known, "image", file, at)
    height, width = (_integer(entry, key, where, "MRD003", at) for key in ("height", "width"))
    if height < 1 or width < 1:
        raise DataError(f"{file}: image {image_id} is {width} x {height} pixels", "MRD003", at)
    name = _string(entry, "file_name", where, "MRD003", at)
    if ".." in PurePosixPath(name.replace("\\", "/")).parts:
        raise DataError(
            f"{file}: image {image_id}: {name} leaves the split's directory", "MRD003", (*at, "file_name")
        )
    return AnnotatedImage(image_id, name, height, width)


def _unique(number: int, known: Iterable[int], kind: str, file: Path, at: ValuePath) -> int:
    if number in known:
        rule = "MRD002" if kind == "category" else "MRD003"
        raise DataError(f"{file}: {kind} id {number} is given to more than one {kind}", rule, (*at, "id"))
    return number


def _integer(entry: Mapping[str, Any], key: str, where: str, rule: str, at: ValuePath) -> int:
    """An integer of at most 64 bits; a whole float is one, a boolean is not."""
    value = entry.get(key)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{where} has {key}={_shown(value)}, expected an integer", rule, (*at, key))
    if value not in _INT64:
        raise DataError(
            f"{where} has {key}={_shown(value)}, expected an integer of at most 64 bits", rule, (*at, key)
        )
    return value


def _string(entry: Mapping[str, Any], key: str, where: str, rule: str, at: ValuePath) -> str:
    value = entry.get(key)
    if not isinstance(value, str):
        raise DataError(f"{where} has {key}={_shown(value)}, expected a string", rule, (*at, key))
    # A lone surrogate can be written to no file and no terminal.
    return value.encode("utf-8", "backslashreplace").decode()


def _shown(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # an integer of more than 4300 digits
        return "a huge integer"
    return text if len(text) <= 60 else f"{text[:60]}..."


def _bbox(value: Any, where: str, at: ValuePath) -> tuple[float, float, float, float]:
    if isinstance(value, list) and len(value) == 4:
        numbers = [_float(number) for number in value]
        if all(number is not None for number in numbers):
            return tuple(numbers)  # type: ignore[return-value]
    raise DataError(f"{where} has no 'bbox' of four numbers [x, y, width, height]", "MRD004", (*at, "bbox"))


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
