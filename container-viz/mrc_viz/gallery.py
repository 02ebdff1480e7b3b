"""Detections beside ground truth for several images of a validation split, as one sheet."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
from mrc_train.data.coco import ImageRecord, Split
from mrc_train.drawing import Image, draw_detections, draw_ground_truth, grid, side_by_side

if TYPE_CHECKING:
    from mrc_train.predictor import Predictor

MAX_EDGE = 640
"""Larger images are drawn at full size and then reduced to this, in pixels."""


def sample_images(split: Split, count: int, offset: int = 0) -> list[ImageRecord]:
    """``count`` images, or all if there are fewer, evenly spaced over the split; the same ones every time.

    Args:
        offset: shifts each by this many images, to get others.
    """
    indices = np.linspace(0, len(split.records) - 1, min(count, len(split.records))).round().astype(int)
    return [split.records[(index + offset) % len(split.records)] for index in indices]


def detection_sheet(
    predictor: "Predictor",
    split: Split,
    records: Sequence[ImageRecord],
    threshold: float | None = None,
    columns: int = 2,
) -> Image:
    """Each image twice, detections left and ground truth right: BGR uint8 (height, width, 3).

    Args:
        records: images of ``split``, for example from ``sample_images``.
        threshold: minimum score of a detection to be drawn; TEST.RESULT_SCORE_THRESH_VIS by default.
        columns: images per row.

    Raises:
        UnreadableImage: for an image that cannot be decoded.
    """
    if threshold is None:
        threshold = predictor.cfg.TEST.RESULT_SCORE_THRESH_VIS
    pairs = [_pair(predictor, split, record, threshold) for record in records]
    # The margin around a pair keeps it apart from the next one.
    framed = [np.pad(pair, ((8, 8), (8, 8), (0, 0)), constant_values=255) for pair in pairs]
    return grid(framed, min(columns, len(framed)))


def encode_png(image: Image) -> bytes:
    """The image as a PNG file, for example for ``IPython.display.Image``."""
    _, encoded = cv2.imencode(".png", image)
    return encoded.tobytes()


def _pair(predictor: "Predictor", split: Split, record: ImageRecord, threshold: float) -> Image:
    image = record.read()
    detections = predictor(image).above(threshold)
    return side_by_side(
        [
            (
                f"{record.path.name}: {len(detections)} detected",
                _shrink(draw_detections(image, detections, predictor.categories, threshold)),
            ),
            (
                f"ground truth: {len(record.boxes)}",
                _shrink(draw_ground_truth(image, record, split.categories)),
            ),
        ]
    )


def _shrink(image: Image) -> Image:
    height, width = image.shape[:2]
    factor = MAX_EDGE / max(height, width)
    if factor >= 1:
        return image
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
