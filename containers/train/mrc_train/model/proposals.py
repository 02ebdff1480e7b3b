"""Proposals from the outputs of the RPN, and the RPN's targets from ground truth.

Shapes: B images, A anchors over all levels, P proposals, S sampled anchors, G ground-truth boxes
(padded). Boxes are float32 x1, y1, x2, y2 in pixels of the resized image.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

from mrc_train.config import Rpn
from mrc_train.model.valid_region import ValidRegion
from mrc_train.ops import Tensor
from mrc_train.ops import anchors as anchor_ops
from mrc_train.ops import boxes as box_ops
from mrc_train.ops.matcher import FOREGROUND, match
from mrc_train.ops.nms import batched_nms
from mrc_train.ops.sampler import random_keys, sample
from mrc_train.tfgraph import tf

UNIT_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
CROWD = -1
"""Label of a crowd region in ``gt_labels``; 0 is padding."""


class Anchors(NamedTuple):
    """Anchors of one feature map, or of several concatenated."""

    boxes: Tensor
    """float32 (A_l, 4), by location and then in the order of ``grid_anchors``"""
    ids: Tensor
    """int32 (A_l,): identifies an anchor independently of the size of the map"""
    valid: Tensor
    """bool (B, A_l): False for locations outside the image's valid region"""


def level_anchors(
    maps: Sequence[Tensor],
    strides: Sequence[int],
    sizes: Sequence[Sequence[float]],
    ratios: Sequence[float],
    valid_region: ValidRegion | None = None,
) -> list[Anchors]:
    """Anchors of all sizes and ratios of a level, at every location of its map (B, h, w, channels)."""
    levels = []
    for level, (feature, stride, level_sizes) in enumerate(zip(maps, strides, sizes, strict=True)):
        batch, height, width, _ = tf.unstack(tf.shape(feature))
        boxes = anchor_ops.grid_anchors(height, width, stride, level_sizes, ratios)
        anchors_per_location = len(level_sizes) * len(ratios)
        row, column = tf.reshape(tf.range(height), [-1, 1, 1]), tf.reshape(tf.range(width), [-1, 1])
        ids = ((level * 4096 + row) * 4096 + column) * 16 + tf.range(anchors_per_location)
        is_valid = (
            tf.fill([batch, height, width], True) if valid_region is None else valid_region.mask(feature)
        )
        valid = tf.tile(tf.reshape(is_valid, [batch, -1, 1]), [1, 1, anchors_per_location])
        levels.append(
            Anchors(tf.reshape(boxes, [-1, 4]), tf.reshape(ids, [-1]), tf.reshape(valid, [batch, -1]))
        )
    return levels


class Proposals(NamedTuple):
    """Proposals of each image, by descending score."""

    boxes: Tensor
    """float32 (B, P, 4)"""
    valid: Tensor
    """bool (B, P): False for padding, whose boxes are zeros"""


def propose(
    logits: list[Tensor],
    deltas: list[Tensor],
    anchors: list[Anchors],
    image_size: Tensor,
    before_nms: int,
    after_nms: int,
    nms_threshold: float,
    min_size: float,
) -> Proposals:
    """Decode the best boxes of each level, apply NMS within each level, and keep the best of all levels.

    The levels are pyramid levels, or a single one with all anchors. ``batched_nms`` treats them as classes.
    No gradient flows into the logits and deltas.

    Args:
        logits, deltas: (B, A_l) and (B, A_l, 4) of each level.
        image_size: float32 (B, 2), height and width without padding.
        before_nms: maximum number of boxes per image and level before NMS.
        after_nms: maximum number of proposals per image.
        min_size: proposals whose width or height is not above this are dropped, in pixels.
    """
    boxes, scores = [], []
    for level_logits, level_deltas, level in zip(logits, deltas, anchors, strict=True):
        candidates = tf.minimum(before_nms, tf.shape(level_logits)[1])
        best, index = tf.math.top_k(tf.where(level.valid, level_logits, -math.inf), candidates, sorted=False)
        decoded = box_ops.decode(
            tf.gather(level_deltas, index, batch_dims=1), tf.gather(level.boxes, index), UNIT_WEIGHTS
        )
        decoded = box_ops.clip(decoded, image_size)
        sides = decoded[..., 2:] - decoded[..., :2]
        is_usable = tf.reduce_all(sides > min_size, axis=-1) & (best > -math.inf)
        score = tf.where(is_usable, tf.sigmoid(best), -1.0)
        missing = before_nms - candidates
        boxes.append(tf.pad(decoded, [[0, 0], [0, missing], [0, 0]]))
        scores.append(tf.pad(score, [[0, 0], [0, missing]], constant_values=-1.0))
    kept, _, _, count = batched_nms(
        tf.stack(boxes, axis=2),
        tf.stack(scores, axis=2),
        iou_threshold=nms_threshold,
        per_class=after_nms,
        total=after_nms,
        score_threshold=0.0,
    )
    kept.set_shape([None, after_nms, 4])
    return Proposals(tf.stop_gradient(kept), tf.sequence_mask(count, after_nms))


def concat_anchors(anchors: Sequence[Anchors]) -> Anchors:
    """The anchors of all maps as one."""
    return Anchors(
        tf.concat([level.boxes for level in anchors], 0),
        tf.concat([level.ids for level in anchors], 0),
        tf.concat([level.valid for level in anchors], 1),
    )


class RpnTargets(NamedTuple):
    """Targets of the RPN for the anchors sampled in this step."""

    index: Tensor
    """int32 (B, S), indices into the anchors of all levels"""
    valid: Tensor
    """bool (B, S): False for slots without a sample"""
    foreground: Tensor
    """bool (B, S)"""
    deltas: Tensor
    """float32 (B, S, 4), undefined for background"""


def rpn_targets(
    anchors: Anchors, gt_boxes: Tensor, gt_labels: Tensor, image_size: Tensor, seeds: Tensor, settings: Rpn
) -> RpnTargets:
    """Match anchors to the ground truth of each image, and sample them.

    Anchors whose centre is in the padding, and those covered by a crowd box, are never sampled.

    Args:
        gt_boxes: float32 (B, G, 4).
        gt_labels: int32 (B, G), 0 for padding and ``CROWD`` for crowds.
        image_size: float32 (B, 2), height and width without padding.
        seeds: int32 (B, 2).
    """
    batch = tf.shape(gt_boxes)[0]
    tiled = tf.tile(anchors.boxes[None], [batch, 1, 1])
    centre_x, centre_y = (tiled[..., 0] + tiled[..., 2]) / 2, (tiled[..., 1] + tiled[..., 3]) / 2
    ignored = (centre_y > image_size[:, None, 0]) | (centre_x > image_size[:, None, 1]) | ~anchors.valid
    iou = box_ops.pairwise_iou(tiled, gt_boxes)
    matched, labels = match(
        # An anchor in the padding must not be the best one of an object.
        tf.where(ignored[..., None], 0.0, iou),
        gt_labels > 0,
        settings.NEGATIVE_ANCHOR_THRESH,
        settings.POSITIVE_ANCHOR_THRESH,
        keep_best_per_gt=True,
    )
    if settings.CROWD_OVERLAP_THRESH <= 1:
        in_crowd = box_ops.pairwise_intersection_over_first(tiled, gt_boxes) > settings.CROWD_OVERLAP_THRESH
        ignored |= tf.reduce_any(in_crowd & tf.equal(gt_labels, CROWD)[:, None], axis=-1)
    labels = tf.where(ignored, -1, labels)
    index, valid = sample(labels, random_keys(seeds, anchors.ids), settings.BATCH_PER_IM, settings.FG_RATIO)
    boxes = tf.gather(gt_boxes, tf.gather(matched, index, batch_dims=1), batch_dims=1)
    return RpnTargets(
        index,
        valid,
        valid & tf.equal(tf.gather(labels, index, batch_dims=1), FOREGROUND),
        box_ops.encode(boxes, tf.gather(anchors.boxes, index), UNIT_WEIGHTS),
    )
