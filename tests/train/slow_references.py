"""Slow reference implementations of operations, written directly from their definitions."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def bilinear(image: Array, y: float, x: float) -> Array:
    """Value of an image (h, w, ...) at a point, with pixel i centred at i; 0 more than a pixel outside."""
    height, width = image.shape[:2]
    if not (-1 <= y <= height and -1 <= x <= width):
        return np.zeros(image.shape[2:])
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    upper = (1 - across) * image[top, left] + across * image[top, right]
    lower = (1 - across) * image[bottom, left] + across * image[bottom, right]
    return (1 - down) * upper + down * lower


def roi_align(image: Array, box: Array, stride: float, resolution: int, ratio: int) -> Array:
    """RoIAlign of one box (4,) on one feature map (h, w, ...): (resolution, resolution, ...)."""
    x1, y1, x2, y2 = np.asarray(box, np.float64) / stride - 0.5
    out = np.zeros((resolution, resolution, *image.shape[2:]))
    for row in range(resolution):
        for column in range(resolution):
            for i in range(ratio):
                for j in range(ratio):
                    y = y1 + (y2 - y1) * (row + (i + 0.5) / ratio) / resolution
                    x = x1 + (x2 - x1) * (column + (j + 0.5) / ratio) / resolution
                    out[row, column] += bilinear(image, y, x) / ratio**2
    return out


def iou(box: Array, others: Array) -> Array:
    """Intersection over union of one box (4,) with others (N, 4): (N,)."""
    x1, y1, x2, y2 = others.T
    width = np.maximum(np.minimum(box[2], x2) - np.maximum(box[0], x1), 0)
    height = np.maximum(np.minimum(box[3], y2) - np.maximum(box[1], y1), 0)
    common = width * height
    return common / ((box[2] - box[0]) * (box[3] - box[1]) + (x2 - x1) * (y2 - y1) - common)
