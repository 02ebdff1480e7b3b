"""Which regions the box and mask heads learn from, and what they should say of each.

Shapes: B images, P proposals, G ground-truth boxes (padded), S sampled regions an image, N = B * S.
"""

from typing import NamedTuple

from mrc_train.config import Config
from mrc_train.model.proposals import Proposals
from mrc_train.ops import Tensor
from mrc_train.ops import boxes as box_ops
from mrc_train.ops.matcher import FOREGROUND, match
from mrc_train.ops.sampler import sample
from mrc_train.tfgraph import tf


class SampledRois(NamedTuple):
    """Regions drawn for this step, foreground first in each image."""

    boxes: Tensor
    """float32 (B, S, 4)"""
    sampled: Tensor
    """bool (B, S): False where an image had fewer candidates"""
    labels: Tensor
    """int32 (B, S): the class, 0 background"""
    gt_index: Tensor
    """int32 (B, S): the matched object, meaningful for the foreground"""
    deltas: Tensor
    """float32 (B, S, 4): box targets, meaningful for the foreground"""


def sample_rois(
    proposals: Proposals, gt_boxes: Tensor, gt_labels: Tensor, seed: Tensor, cfg: Config
) -> SampledRois:
    """Proposals and the ground truth itself, matched at ``FRCNN.FG_THRESH`` and sampled."""
    is_object = gt_labels > 0
    boxes = tf.concat([proposals.boxes, gt_boxes], axis=1)
    valid = tf.concat([proposals.valid, is_object], axis=1)
    matched, labels = match(
        box_ops.pairwise_iou(boxes, gt_boxes),
        is_object,
        cfg.FRCNN.FG_THRESH,
        cfg.FRCNN.FG_THRESH,
        keep_best_per_gt=False,
    )
    labels = tf.where(valid, labels, -tf.ones_like(labels))
    index, sampled = sample(labels, cfg.FRCNN.BATCH_PER_IM, cfg.FRCNN.FG_RATIO, seed)
    boxes = tf.gather(boxes, index, batch_dims=1)
    gt_index = tf.gather(matched, index, batch_dims=1)
    foreground = sampled & tf.equal(tf.gather(labels, index, batch_dims=1), FOREGROUND)
    classes = tf.gather(gt_labels, gt_index, batch_dims=1)
    return SampledRois(
        boxes,
        sampled,
        tf.where(foreground, classes, tf.zeros_like(classes)),
        gt_index,
        box_ops.encode(tf.gather(gt_boxes, gt_index, batch_dims=1), boxes, cfg.FRCNN.BBOX_REG_WEIGHTS),
    )
