"""COCO-format data sets: the categories, images and objects of a split, checked before the first step.

The images of a split NAME are in ``<basedir>/NAME/``, its annotations in
``<basedir>/annotations/instances_NAME.json``.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from mrc_cli.staged import incomplete
from numpy.typing import NDArray

from mrc_train.config import Config
from mrc_train.data.annotations import (
    NO_MASK,
    AnnotatedImage,
    AnnotatedObject,
    Annotations,
    clipped,
    read_annotations,
)
from mrc_train.data.categories import Categories
from mrc_train.data.image_files import image_files
from mrc_train.data.images import read_annotated
from mrc_train.data.masks import Segmentation
from mrc_train.data.problems import DataError

NO_OBJECTS = "training images without objects"

COUNTED = ("MRD020", "MRD021")
"""Rules about what is left out: the log has its count anyway."""


@dataclass(frozen=True, eq=False)
class ImageRecord:
    """One image and its n objects.

    boxes: float32 (n, 4) x1, y1, x2, y2 in pixels, clipped to the image; labels: int32 (n,) of 1..C;
    crowd: bool (n,); segmentations: n entries, or empty without masks.
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
        """The image: BGR uint8 (height, width, 3). Raises UnreadableImage."""
        return read_annotated(self.path, self.height, self.width)


@dataclass(frozen=True)
class Dataset:
    """The images of one or several splits.

    dropped: the number of objects or images left out, by reason; notes: lines for the log.
    """

    name: str
    categories: Categories
    records: Sequence[ImageRecord]
    dropped: Mapping[str, int] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def objects_per_class(self) -> NDArray[np.int64]:
        """(C,): the number of objects of each class, without crowds."""
        labels = [record.labels[~record.crowd] for record in self.records]
        joined = np.concatenate(labels) if labels else np.zeros(0, np.int32)
        return np.bincount(joined, minlength=self.categories.num_classes)[1:]

    def summary(self) -> str:
        """Counts for the log: one line, a table of objects per class, and one line for each note."""
        counts = self.objects_per_class()
        crowds = sum(int(record.crowd.sum()) for record in self.records)
        lines = [
            f"{self.name}: {len(self.records)} images, {counts.sum()} objects"
            f"{f' and {crowds} crowds' if crowds else ''} of {len(counts)} classes",
            *_columns([f"{name} {count}" for name, count in zip(self.categories.names, counts, strict=True)]),
            *(f"{self.name}: {note}" for note in self.notes),
            *(f"{self.name}: left out {count} {what}" for what, count in self.dropped.items()),
        ]
        missing = [name for name, count in zip(self.categories.names, counts, strict=True) if not count]
        if missing:
            lines.append(f"{self.name}: no object of {', '.join(missing)}: nothing can be learned about it")
        return "\n".join(lines)


def _columns(cells: list[str], width: int = 100) -> Iterator[str]:
    cell_width = max(len(cell) for cell in cells) + 3
    per_row = max(width // cell_width, 1)
    for start in range(0, len(cells), per_row):
        yield "".join(f"  {cell:<{cell_width - 2}}" for cell in cells[start : start + per_row]).rstrip()


@dataclass(frozen=True)
class Split(Dataset):
    """A data set from one annotation file."""

    annotation_file: Path = field(kw_only=True)


def annotations_of(basedir: Path, split: str) -> Path:
    """The annotation file of a split, such as ``train2017`` or ``coco_train2017``."""
    return basedir / "annotations" / f"instances_{split.removeprefix('coco_')}.json"


def load_split(basedir: Path, split: str, masks: bool = True) -> Split:
    """Read a split such as ``train2017``, or ``coco_train2017`` as tensorpack names it, under ``basedir``.

    With ``masks``, an object without a usable segmentation is left out; otherwise segmentations are not read.
    Raises DataError as ``read_annotations`` does, for a missing directory or missing images, and when the
    data set is still being staged.
    """
    if reason := incomplete(basedir):
        raise DataError(reason)
    name = split.removeprefix("coco_")
    directory = basedir / name
    annotations = read_annotations(annotations_of(basedir, split), masks)
    files, notes = image_files(
        directory, [image.file_name for image in annotations.images.values()], annotations.file
    )
    records = image_records(annotations, [directory / file for file in files])
    doubts = [str(problem) for problem in annotations.problems if problem.rule not in COUNTED]
    return Split(
        name,
        annotations.categories,
        records,
        annotations.dropped,
        notes=[*notes, *doubts],
        annotation_file=annotations.file,
    )


def image_records(annotations: Annotations, paths: Sequence[Path]) -> list[ImageRecord]:
    """The images of an annotation file with their objects; ``paths`` has one file for each."""
    return [
        _record(image, annotations.objects[image.id], path, annotations.categories)
        for image, path in zip(annotations.images.values(), paths, strict=True)
    ]


def training_records(cfg: Config) -> Dataset:
    """All splits of DATA.TRAIN, joined; without empty images if DATA.FILTER_EMPTY_ANNOTATIONS.

    Raises DataError as ``load_split`` does, if the categories of the splits differ, and if no image is left.
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
        reasons = "".join(f"; left out {count} {what}" for what, count in dropped.items())
        fix = "; set MODE_MASK=False to train on boxes alone" if dropped[NO_MASK] else ""
        raise DataError(f"{name}: no image with an object is left to train on{reasons}{fix}")
    notes = list(dict.fromkeys(note for split in splits for note in split.notes))
    return Dataset(name, splits[0].categories, records, dict(dropped), notes)


def check_same_categories(first: Dataset, second: Dataset) -> None:
    """Raise DataError unless two data sets have the same category ids and names."""
    check_categories(first.categories, first.name, second)


def check_categories(expected: Categories, name: str, dataset: Dataset) -> None:
    """Raise DataError unless a data set has the ``expected`` categories.

    ``name`` is the split or checkpoint that these come from.
    """
    expected_names = dict(zip(expected.coco_ids, expected.names, strict=True))
    actual_names = dict(zip(dataset.categories.coco_ids, dataset.categories.names, strict=True))
    different = sorted(set(expected_names.items()) ^ set(actual_names.items()))
    if different:
        coco_id, _ = different[0]
        raise DataError(
            f"{dataset.name} has category {coco_id} {actual_names.get(coco_id)!r} where {name} has "
            f"{expected_names.get(coco_id)!r}: use data with the same categories"
        )


def _record(
    image: AnnotatedImage, objects: Sequence[AnnotatedObject], path: Path, categories: Categories
) -> ImageRecord:
    boxes = [clipped(entry.bbox, image.height, image.width) for entry in objects]
    return ImageRecord(
        image_id=image.id,
        path=path,
        height=image.height,
        width=image.width,
        boxes=np.array(boxes, np.float32).reshape(-1, 4),
        labels=np.array([categories.label_of(entry.category_id) for entry in objects], np.int32),
        crowd=np.array([entry.crowd for entry in objects], bool),
        segmentations=[entry.segmentation for entry in objects if entry.segmentation is not None],
    )
