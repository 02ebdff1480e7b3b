"""Shapes of annotation tools as COCO describes objects. All coordinates are in pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from mrc_train.data.masks import Bitmap, encode_rle
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""(n, 2) x, y."""

MAX_GAP = 0.25
"""Between an ellipse and the polygon that stands for it, in pixels."""


def rectangle(x1: float, y1: float, x2: float, y2: float) -> Points:
    """The corners of a rectangle, given by two opposite ones in any order."""
    (left, right), (top, bottom) = sorted((x1, x2)), sorted((y1, y2))
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)


def ellipse(cx: float, cy: float, rx: float, ry: float, angle: float = 0.0) -> Points:
    """A polygon in place of an ellipse; ``angle``, in radians, is from the x axis to ``rx``, clockwise."""
    # A chord over the angle a is r (1 - cos(a/2)) away from its arc.
    ratio = min(MAX_GAP / max(rx, ry, MAX_GAP), 1.0)
    count = max(24, int(np.ceil(np.pi / np.arccos(1 - ratio))))
    turn = np.linspace(0, 2 * np.pi, count, endpoint=False)
    x, y = rx * np.cos(turn), ry * np.sin(turn)
    return np.stack(
        [cx + x * np.cos(angle) - y * np.sin(angle), cy + x * np.sin(angle) + y * np.cos(angle)], axis=1
    )


def of_polygons(polygons: Sequence[Points]) -> dict[str, Any]:
    """COCO's keys of an object that consists of polygons."""
    points = np.concatenate(polygons)
    (x1, y1), (x2, y2) = points.min(axis=0), points.max(axis=0)
    return {
        "bbox": _rounded([x1, y1, x2 - x1, y2 - y1]),
        "area": round(sum(_area(polygon) for polygon in polygons), 3),
        "iscrowd": 0,
        "segmentation": [_rounded(polygon.reshape(-1)) for polygon in polygons],
    }


def of_box(x1: float, y1: float, x2: float, y2: float) -> dict[str, Any]:
    """COCO's keys of an object without a mask."""
    box = _rounded([x1, y1, x2 - x1, y2 - y1])
    return {"bbox": box, "area": round(box[2] * box[3], 3), "iscrowd": 0}


def of_bitmap(bitmap: Bitmap) -> dict[str, Any]:
    """COCO's keys of an object given by a bitmap of the image's size, which has at least one pixel."""
    rows, columns = np.flatnonzero(bitmap.any(axis=1)), np.flatnonzero(bitmap.any(axis=0))
    x, y = int(columns[0]), int(rows[0])
    return {
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(np.count_nonzero(bitmap)),
        "iscrowd": 0,
        "segmentation": encode_rle(bitmap),
    }


def _area(polygon: Points) -> float:
    x, y = polygon.T
    return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2


def _rounded(numbers: Sequence[float] | NDArray[np.float64]) -> list[float]:
    return [round(float(number), 3) for number in numbers]
