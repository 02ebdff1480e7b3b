"""COCO-format data sets: categories, pictures and objects of a split, checked before the first step.

A split NAME is a folder ``<basedir>/NAME/`` of pictures and ``<basedir>/annotations/instances_NAME.json``.
What would make every later number wrong is an error; what COCO files are known to contain is dropped and
counted.
"""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from mrc_cli.errors import UserError
from numpy.typing import NDArray

from mrc_train.config import Config
from mrc_train.data.categories import Categories
from mrc_train.data.images import read_annotated
from mrc_train.data.masks import Segmentation, clean_segmentation

EMPTY_BOX = "objects whose box has no area inside the picture"
NO_MASK = "objects without a usable segmentation"
NO_OBJECTS = "training pictures without objects"


class DataError(UserError):
    """Data that cannot be trained on."""


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One picture and its n objects.

    boxes: float32 (n, 4) x1, y1, x2, y2 in pixels, inside the picture; labels: int32 (n,) of 1..C;
    crowd: bool (n,); segmentations: n entries, or none when masks are not wanted.
    """

    image_id: int
    path: Path
    height: int
    width: int
    boxes: NDArray[np.float32]
    labels: NDArray[np.int32]
    crowd: NDArray[np.bool_]
    segmentations: Sequence[Segmentation]

    def read(self) -> NDArray[np.uint8]:
        """The picture: BGR uint8 (height, width, 3). Raises UnreadableImage."""
        return read_annotated(self.path, self.height, self.width)


@dataclass(frozen=True)
class Dataset:
    """Pictures of one or several splits, with what was left out and how often."""

    name: str
    categories: Categories
    records: Sequence[ImageRecord]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def objects_per_class(self) -> NDArray[np.int64]:
        """(C,): objects of each class, crowds not counted."""
        labels = [record.labels[~record.crowd] for record in self.records]
        joined = np.concatenate(labels) if labels else np.zeros(0, np.int32)
        return np.bincount(joined, minlength=self.categories.num_classes)[1:]

    def summary(self) -> str:
        """Counts for the log: a line, a table of objects per class, and a line for each thing to know."""
        counts = self.objects_per_class()
        crowds = sum(int(record.crowd.sum()) for record in self.records)
        lines = [
            f"{self.name}: {len(self.records)} pictures, {counts.sum()} objects"
            f"{f' and {crowds} crowds' if crowds else ''} of {len(counts)} classes",
            *_columns([f"{name} {count}" for name, count in zip(self.categories.names, counts, strict=True)]),
            *(f"{self.name}: left out {count} {what}" for what, count in self.dropped.items()),
        ]
        unseen = [name for name, count in zip(self.categories.names, counts, strict=True) if not count]
        if unseen:
            lines.append(f"{self.name}: no object of {', '.join(unseen)}: nothing can be learned about it")
        return "\n".join(lines)


def _columns(cells: list[str], width: int = 100) -> Iterator[str]:
    cell_width = max(len(cell) for cell in cells) + 3
    per_row = max(width // cell_width, 1)
    for start in range(0, len(cells), per_row):
        yield "".join(f"  {cell:<{cell_width - 2}}" for cell in cells[start : start + per_row]).rstrip()


@dataclass(frozen=True)
class Split(Dataset):
    """A data set that comes from one annotation file."""

    annotation_file: Path = field(kw_only=True)


def annotations_of(basedir: Path, split: str) -> Path:
    """The annotation file of ``train2017`` or ``coco_train2017``."""
    return basedir / "annotations" / f"instances_{split.removeprefix('coco_')}.json"


def load_split(basedir: Path, split: str, masks: bool = True) -> Split:
    """Read ``train2017`` (or tensorpack's name for it, ``coco_train2017``) under ``basedir``.

    With ``masks``, an object without a usable segmentation is left out; without, segmentations are not read.
    Raises DataError for a missing folder or file, a file that is not COCO's, pictures that are not there,
    ids given twice, and objects of an unknown picture or category.
    """
    name = split.removeprefix("coco_")
    annotation_file = annotations_of(basedir, split)
    content = read_annotation_file(annotation_file)
    categories = _categories(content["categories"], annotation_file)
    folder = basedir / name
    images = _images(content["images"], annotation_file)
    _check_files(folder, [image["file_name"] for image in images.values()], annotation_file)

    objects: dict[int, list[dict[str, Any]]] = {image_id: [] for image_id in images}
    for annotation in _checked_objects(content["annotations"], objects, categories, annotation_file):
        objects[annotation["image_id"]].append(annotation)
    dropped: Counter[str] = Counter()
    records = [
        _record(image, objects[image_id], folder, categories, masks, dropped)
        for image_id, image in images.items()
    ]
    return Split(name, categories, records, dict(dropped), annotation_file=annotation_file)


def training_records(cfg: Config) -> Dataset:
    """All splits of DATA.TRAIN, joined; without empty pictures if DATA.FILTER_EMPTY_ANNOTATIONS.

    Raises DataError as ``load_split`` does, when the splits' categories differ, and when nothing is left.
    """
    splits = [load_split(cfg.DATA.BASEDIR, name, cfg.MODE_MASK) for name in cfg.DATA.TRAIN]
    for split in splits[1:]:
        check_same_categories(splits[0], split)
    dropped = sum((Counter(split.dropped) for split in splits), Counter())
    records = [record for split in splits for record in split.records]
    if cfg.DATA.FILTER_EMPTY_ANNOTATIONS:
        kept = [record for record in records if not record.crowd.all()]
        if len(kept) < len(records):
            dropped[NO_OBJECTS] = len(records) - len(kept)
        records = kept
    name = " + ".join(split.name for split in splits)
    if not records:
        raise DataError(f"{name}: no picture with an object is left to train on")
    return Dataset(name, splits[0].categories, records, dict(dropped))


def check_same_categories(first: Dataset, second: Dataset) -> None:
    """Raises DataError when two splits do not have the same category ids and names."""
    ours = dict(zip(first.categories.coco_ids, first.categories.names, strict=True))
    theirs = dict(zip(second.categories.coco_ids, second.categories.names, strict=True))
    different = sorted(set(ours.items()) ^ set(theirs.items()))
    if different:
        coco_id, _ = different[0]
        raise DataError(
            f"{second.name} has category {coco_id} {theirs.get(coco_id)!r} where {first.name} has "
            f"{ours.get(coco_id)!r}: give all splits the same categories"
        )


def read_annotation_file(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The JSON of a COCO file, with its three lists present. Raises DataError."""
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(
            f"{path}: {error.strerror}; DATA.BASEDIR needs <split>/, annotations/instances_<split>.json"
        ) from None
    except ValueError as error:
        raise DataError(f"{path}: not a JSON file: {error}") from None
    for key in ("images", "annotations", "categories"):
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise DataError(f"{path}: no list of objects {key!r} at its top level: not a COCO instances file")
    return content  # type: ignore[no-any-return]


def _categories(entries: list[dict[str, Any]], file: Path) -> Categories:
    _require(entries, {"id": int, "name": str}, "category", file)
    if not _unique_ids(entries, "category", file):
        raise DataError(f"{file}: 'categories' is empty: there is nothing to learn")
    ordered = sorted(entries, key=lambda entry: int(entry["id"]))
    return Categories(tuple(entry["name"] for entry in ordered), tuple(entry["id"] for entry in ordered))


def _images(entries: list[dict[str, Any]], file: Path) -> dict[int, dict[str, Any]]:
    _require(entries, {"id": int, "file_name": str, "height": int, "width": int}, "image", file)
    for entry in entries:
        if entry["height"] < 1 or entry["width"] < 1:
            raise DataError(f"{file}: image {entry['id']} is {entry['width']} x {entry['height']} pixels")
        name = PurePosixPath(entry["file_name"])
        if name.is_absolute() or ".." in name.parts:
            raise DataError(f"{file}: image {entry['id']}: {name} leaves the split's folder")
    if not entries:
        raise DataError(f"{file}: 'images' is empty")
    return _unique_ids(entries, "image", file)


def _require(entries: Iterable[dict[str, Any]], keys: Mapping[str, type], kind: str, file: Path) -> None:
    for index, entry in enumerate(entries):
        for key, expected in keys.items():
            if not isinstance(entry.get(key), expected):
                raise DataError(
                    f"{file}: {kind} number {index + 1} has {key}={entry.get(key)!r} where "
                    f"{'an integer' if expected is int else 'a text'} belongs"
                )


def _unique_ids(entries: list[dict[str, Any]], kind: str, file: Path) -> dict[int, dict[str, Any]]:
    by_id = {entry["id"]: entry for entry in entries}
    if len(by_id) < len(entries):
        twice = next(key for key, count in Counter(entry["id"] for entry in entries).items() if count > 1)
        raise DataError(f"{file}: {kind} id {twice} is given to more than one {kind}")
    return by_id


def _check_files(folder: Path, names: Sequence[str], file: Path) -> None:
    """One listing a folder: asking for 118,000 files one by one takes minutes on a network file system."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; {file.name} belongs to the pictures in it")
    listings: dict[str, set[str]] = {}
    missing = []
    for name in names:
        parent, base = os.path.split(name)
        if parent not in listings:
            try:
                with os.scandir(folder / parent) as entries:
                    listings[parent] = {entry.name for entry in entries}
            except OSError:
                listings[parent] = set()
        if base not in listings[parent]:
            missing.append(name)
    if missing:
        raise DataError(
            f"{folder}: {len(missing)} of {len(names)} pictures in {file} are missing, such as {missing[0]}"
        )


def _checked_objects(
    entries: list[dict[str, Any]], images: Mapping[int, Any], categories: Categories, file: Path
) -> Iterator[dict[str, Any]]:
    _require(entries, {"image_id": int, "category_id": int}, "annotation", file)
    known = set(categories.coco_ids)
    for index, entry in enumerate(entries):
        where = f"{file}: annotation number {index + 1} (id {entry.get('id')})"
        if entry.get("image_id") not in images:
            raise DataError(f"{where} is of image {entry.get('image_id')}, which is not in 'images'")
        if entry.get("category_id") not in known:
            raise DataError(f"{where} is of category {entry.get('category_id')}, not in 'categories'")
        box = entry.get("bbox")
        if not (isinstance(box, list) and len(box) == 4 and all(isinstance(x, (int, float)) for x in box)):
            raise DataError(f"{where} has no 'bbox' of four numbers [x, y, width, height]")
        yield entry


def _record(
    image: dict[str, Any],
    objects: list[dict[str, Any]],
    folder: Path,
    categories: Categories,
    masks: bool,
    dropped: Counter[str],
) -> ImageRecord:
    height, width = image["height"], image["width"]
    boxes = np.array([entry["bbox"] for entry in objects], np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    boxes = boxes.clip(0, [width, height, width, height])
    # Written so that a box with NaN in it has no area either.
    has_area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    kept: list[int] = []
    segmentations: list[Segmentation] = []
    for index, entry in enumerate(objects):
        if not has_area[index]:
            dropped[EMPTY_BOX] += 1
            continue
        if masks:
            segmentation = clean_segmentation(entry.get("segmentation"), height, width)
            if segmentation is None:
                dropped[NO_MASK] += 1
                continue
            segmentations.append(segmentation)
        kept.append(index)
    return ImageRecord(
        image_id=image["id"],
        path=folder / image["file_name"],
        height=height,
        width=width,
        boxes=boxes[kept].astype(np.float32),
        labels=np.array([categories.label_of(objects[index]["category_id"]) for index in kept], np.int32),
        crowd=np.array([bool(objects[index].get("iscrowd")) for index in kept], bool),
        segmentations=segmentations,
    )
