"""The paste of soft masks that this project had first: two small matrix products for each mask.

NumPy's BLAS wakes its threads for them, which then spin; ``mrc_train.data.masks.paste_mask`` has none.
"""

import numpy as np
from mrc_train.data.masks import Bitmap
from numpy.typing import NDArray


def paste_mask(
    mask: NDArray[np.float32], box: NDArray[np.float32], height: int, width: int, threshold: float = 0.5
) -> Bitmap:
    """Arguments and result are those of ``mrc_train.data.masks.paste_mask``."""
    bitmap = np.zeros((height, width), np.uint8)
    x1, y1, x2, y2 = (float(value) for value in box)
    left, right = max(int(np.floor(x1)), 0), min(int(np.ceil(x2)), width)
    top, bottom = max(int(np.floor(y1)), 0), min(int(np.ceil(y2)), height)
    if left >= right or top >= bottom or x2 <= x1 or y2 <= y1:
        return bitmap
    rows, columns = mask.shape
    across = _weights((np.arange(left, right) + 0.5 - x1) / (x2 - x1) * columns - 0.5, columns)
    down = _weights((np.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * rows - 0.5, rows)
    bitmap[top:bottom, left:right] = down @ mask.astype(np.float32) @ across.T >= threshold
    return bitmap


def _weights(positions: NDArray[np.float64], cells: int) -> NDArray[np.float32]:
    """Bilinear weights (n, cells) of the cells at n positions."""
    weights: NDArray[np.float64] = np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(cells)))
    return weights.astype(np.float32)
