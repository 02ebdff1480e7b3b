"""A sheet of sample images with their objects, so that a person sees what training will see."""

import random
from collections.abc import Sequence
from functools import partial

import cv2
import numpy as np
from mrc_train.data.augment import Transform, resized_size
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord, Split
from mrc_train.data.decoding import UnreadableImage
from mrc_train.data.masks import Bitmap
from mrc_train.drawing import DrawnObject, Image, draw_objects, grid, side_by_side

SAMPLES = 16
COLUMNS = 4
MAX_EDGE = 480
"""Of a sample, in pixels."""


def draw_sheet(splits: Sequence[Split]) -> Image | None:
    """Samples of all splits as training uses them, or None when no image with an object can be read.

    Every class is shown at least once if the samples suffice; the same data give the same sheet.
    """
    panels = []
    candidates = [(split, record) for split in splits for record in split.records if len(record.boxes)]
    random.Random(0).shuffle(candidates)  # noqa: S311 (a sample, no secret)
    for split, record in _every_class_first(candidates):
        try:
            panels.append(_panel(split, record))
        except UnreadableImage:
            continue
        if len(panels) == SAMPLES:
            break
    return grid(panels, min(COLUMNS, len(panels))) if panels else None


def _every_class_first(candidates: Sequence[tuple[Split, ImageRecord]]) -> list[tuple[Split, ImageRecord]]:
    covered: set[int] = set()
    first: list[tuple[Split, ImageRecord]] = []
    rest: list[tuple[Split, ImageRecord]] = []
    for split, record in candidates:
        labels = set(record.labels.tolist())
        (rest if labels <= covered else first).append((split, record))
        covered |= labels
    return first + rest


def _panel(split: Split, record: ImageRecord) -> Image:
    height, width = resized_size(record.height, record.width, MAX_EDGE, MAX_EDGE)
    transform = Transform(record.height, record.width, height, width)
    image = transform.image(record.read())
    heading = f"{split.name}/{record.path.name}"
    return side_by_side([(heading, draw_objects(image, _objects(record, transform, split.categories)))])


def _objects(record: ImageRecord, transform: Transform, categories: Categories) -> list[DrawnObject]:
    boxes = transform.boxes(record.boxes)
    return [
        DrawnObject(
            box,
            int(label),
            f"{categories.name_of(int(label))}{' (crowd)' if crowd else ''}",
            partial(_mask, record, transform, index),
        )
        for index, (box, label, crowd) in enumerate(zip(boxes, record.labels, record.crowd, strict=True))
    ]


def _mask(record: ImageRecord, transform: Transform, index: int) -> Bitmap | None:
    return transform.mask(record.segmentations[index]) if record.segmentations else None


def encode_png(image: Image) -> bytes:
    """The image as a PNG file."""
    _, encoded = cv2.imencode(".png", image)
    return np.asarray(encoded).tobytes()
