"""Detections beside the truth, for several images of a validation split, as one sheet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from mrc_train.data.coco import ImageRecord, Split
from mrc_train.drawing import Image, draw_detections, draw_ground_truth, grid, side_by_side

if TYPE_CHECKING:
    from mrc_train.predictor import Predictor

LONGEST_EDGE = 640
"""Larger pictures are drawn at their own size and then reduced to this, in pixels."""


def pick(split: Split, count: int, turn: int = 0) -> list[ImageRecord]:
    """``count`` images, or all when there are fewer, evenly spread over the split: always the same.

    Args:
        turn: moves each of them on by as many images, for others.
    """
    number = min(count, len(split.records))
    places = np.linspace(0, len(split.records) - 1, number).round().astype(int)
    return [split.records[(place + turn) % len(split.records)] for place in places]


def detection_sheet(
    predictor: "Predictor",
    split: Split,
    records: Sequence[ImageRecord],
    threshold: float | None = None,
    columns: int = 2,
) -> Image:
    """Each image twice, detections left and truth right, in rows: BGR uint8 (height, width, 3).

    Args:
        records: images of ``split``, such as ``pick`` gives.
        threshold: least score of a detection that is shown; by default TEST.RESULT_SCORE_THRESH_VIS.
        columns: images in a row.

    Raises:
        UnreadableImage: for a picture that cannot be decoded.
    """
    if threshold is None:
        threshold = predictor.cfg.TEST.RESULT_SCORE_THRESH_VIS
    pairs = [_pair(predictor, split, record, threshold) for record in records]
    # A little more room around a pair than within it.
    framed = [np.pad(pair, ((8, 8), (8, 8), (0, 0)), constant_values=255) for pair in pairs]
    return grid(framed, min(columns, len(framed)))


def png(picture: Image) -> bytes:
    """The picture as a PNG file, for ``IPython.display.Image`` or a file."""
    _, encoded = cv2.imencode(".png", picture)
    return encoded.tobytes()


def _pair(predictor: "Predictor", split: Split, record: ImageRecord, threshold: float) -> Image:
    picture = record.read()
    found = predictor(picture).above(threshold)
    return side_by_side(
        [
            (
                f"{record.path.name}: {len(found)} detected",
                _reduced(draw_detections(picture, found, predictor.categories, threshold)),
            ),
            (f"truth: {len(record.boxes)}", _reduced(draw_ground_truth(picture, record, split.categories))),
        ]
    )


def _reduced(picture: Image) -> Image:
    height, width = picture.shape[:2]
    factor = LONGEST_EDGE / max(height, width)
    if factor >= 1:
        return picture
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)
