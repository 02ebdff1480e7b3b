"""Boxes: area, overlap, clipping, and the offsets ("deltas") by which a network moves an anchor."""

import math
from collections.abc import Sequence

from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf

MAX_LOG_RATIO = math.log(1000 / 16)
"""Largest dw, dh in decoding, of the first Detectron: a 16 pixel anchor grows to 1000 pixels at most."""

_MIN_SIDE = 1e-3
"""Pixels. A shorter side is encoded as this long, so that offsets stay finite."""


def area(boxes: Tensor) -> Tensor:
    """Area in square pixels of boxes (..., 4): float32 (...). Boxes with negative sides have area 0."""
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return tf.maximum(x2 - x1, 0.0) * tf.maximum(y2 - y1, 0.0)


def pairwise_intersection(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Common area of every pair of (B, N, 4) and (B, M, 4): float32 (B, N, M)."""
    ax1, ay1, ax2, ay2 = tf.split(boxes_a, 4, axis=-1)  # each (B, N, 1)
    bx1, by1, bx2, by2 = (b[:, None, :] for b in tf.unstack(boxes_b, axis=-1))  # each (B, 1, M)
    width = tf.maximum(tf.minimum(ax2, bx2) - tf.maximum(ax1, bx1), 0.0)
    height = tf.maximum(tf.minimum(ay2, by2) - tf.maximum(ay1, by1), 0.0)
    return width * height


def pairwise_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Intersection over union of every pair of (B, N, 4) and (B, M, 4): float32 (B, N, M), 0 without area."""
    intersection = pairwise_intersection(boxes_a, boxes_b)
    union = area(boxes_a)[:, :, None] + area(boxes_b)[:, None, :] - intersection
    return tf.math.divide_no_nan(intersection, union)


def pairwise_overlap_of_first(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """Fraction of each first box that is inside each second one: float32 (B, N, M).

    The measure for crowds: an object within a crowd box has a small IoU with it but is completely inside.
    """
    return tf.math.divide_no_nan(pairwise_intersection(boxes_a, boxes_b), area(boxes_a)[:, :, None])


def clip(boxes: Tensor, image_size: Tensor) -> Tensor:
    """Boxes (B, ..., 4) clipped to their image, of image_size (B, 2): height and width in pixels."""
    height, width = tf.unstack(tf.cast(image_size, boxes.dtype), axis=-1)
    limit = tf.stack([width, height, width, height], axis=-1)
    limit = tf.reshape(limit, [-1] + [1] * (boxes.shape.rank - 2) + [4])
    return tf.maximum(tf.minimum(boxes, limit), 0.0)


def encode(boxes: Tensor, anchors: Tensor, weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0)) -> Tensor:
    """Offsets dx, dy, dw, dh from anchors (..., 4) to boxes (..., 4), which broadcast: float32 (..., 4).

    Those of R-CNN (Girshick et al. 2014, appendix C), times the weights: the centre's shift in anchor
    sizes and the logarithm of the growth. Finite for boxes and anchors without area.
    """
    x, y, width, height = _centre_and_size(boxes)
    ax, ay, anchor_width, anchor_height = _centre_and_size(anchors)
    width, height, anchor_width, anchor_height = (
        tf.maximum(side, _MIN_SIDE) for side in (width, height, anchor_width, anchor_height)
    )
    deltas = [
        (x - ax) / anchor_width,
        (y - ay) / anchor_height,
        tf.math.log(width / anchor_width),
        tf.math.log(height / anchor_height),
    ]
    return tf.stack(deltas, axis=-1) * tf.constant(weights, tf.float32)


def decode(
    deltas: Tensor,
    anchors: Tensor,
    weights: Sequence[float] = (1.0, 1.0, 1.0, 1.0),
    max_log_ratio: float = MAX_LOG_RATIO,
) -> Tensor:
    """Boxes (..., 4) from offsets (..., 4) and anchors, which broadcast; the inverse of ``encode``.

    dw and dh above ``max_log_ratio`` count as that. Never inf or NaN: a box that would be, because of
    its offsets, is the empty box (0, 0, 0, 0), so that a diverging network does not crash what follows.
    """
    dx, dy, dw, dh = tf.unstack(deltas / tf.constant(weights, tf.float32), axis=-1)
    ax, ay, anchor_width, anchor_height = _centre_and_size(anchors)
    x = dx * anchor_width + ax
    y = dy * anchor_height + ay
    half_width = 0.5 * anchor_width * tf.exp(tf.minimum(dw, max_log_ratio))
    half_height = 0.5 * anchor_height * tf.exp(tf.minimum(dh, max_log_ratio))
    boxes = tf.stack([x - half_width, y - half_height, x + half_width, y + half_height], axis=-1)
    is_finite = tf.reduce_all(tf.math.is_finite(boxes), axis=-1, keepdims=True)
    return tf.where(is_finite, boxes, tf.zeros_like(boxes))


def _centre_and_size(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    x1, y1, x2, y2 = tf.unstack(boxes, axis=-1)
    return 0.5 * (x1 + x2), 0.5 * (y1 + y2), x2 - x1, y2 - y1
