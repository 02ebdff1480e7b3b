"""From the RPN's outputs to proposals, and from ground truth to what the RPN should have said.

Shapes: B images, A anchors over all levels, P proposals, S sampled anchors, G ground-truth boxes
(padded). Boxes are float32 x1, y1, x2, y2 in pixels of the resized image.
"""

from typing import NamedTuple

from mrc_train.config import Config
from mrc_train.ops import Tensor
from mrc_train.ops import anchors as anchor_ops
from mrc_train.ops import boxes as box_ops
from mrc_train.ops.matcher import FOREGROUND, match
from mrc_train.ops.nms import batched_nms
from mrc_train.ops.sampler import sample
from mrc_train.tfgraph import tf

UNIT_WEIGHTS = (1.0, 1.0, 1.0, 1.0)
CROWD = -1
"""Label of a crowd region in ``gt_labels``; 0 is padding."""


def level_anchors(pyramid: list[Tensor], cfg: Config) -> list[Tensor]:
    """Per level float32 (h*w*k, 4)."""
    return [
        anchor_ops.grid_anchors(
            tf.shape(feature)[1], tf.shape(feature)[2], stride, size, cfg.RPN.ANCHOR_RATIOS
        )
        for feature, stride, size in zip(pyramid, cfg.FPN.ANCHOR_STRIDES, cfg.RPN.ANCHOR_SIZES, strict=True)
    ]


class Proposals(NamedTuple):
    """The best regions of each image, best first."""

    boxes: Tensor
    """float32 (B, P, 4)"""
    valid: Tensor
    """bool (B, P); the rest of the rows are zeros"""


def propose(
    logits: list[Tensor],
    deltas: list[Tensor],
    anchors: list[Tensor],
    image_size: Tensor,
    top: int,
    cfg: Config,
) -> Proposals:
    """At most ``top`` proposals an image: the best ``top`` of each level, NMS in each level, then the best.

    Levels stand in for classes in the one batched NMS. No gradient flows through.

    Args:
        logits, deltas, anchors: per level, (B, A_l), (B, A_l, 4), (A_l, 4).
        image_size: float32 (B, 2), height and width without padding.
    """
    boxes, scores = [], []
    for level_logits, level_deltas, level_boxes in zip(logits, deltas, anchors, strict=True):
        best, index = tf.math.top_k(level_logits, tf.minimum(top, tf.shape(level_logits)[1]), sorted=False)
        decoded = box_ops.decode(
            tf.gather(level_deltas, index, batch_dims=1), tf.gather(level_boxes, index), UNIT_WEIGHTS
        )
        decoded = box_ops.clip(decoded, image_size)
        sides = decoded[..., 2:] - decoded[..., :2]
        usable = tf.reduce_all(sides > cfg.RPN.MIN_SIZE, axis=-1)
        score = tf.where(usable, tf.sigmoid(best), tf.fill(tf.shape(best), -1.0))
        missing = top - tf.shape(index)[1]
        boxes.append(tf.pad(decoded, [[0, 0], [0, missing], [0, 0]]))
        scores.append(tf.pad(score, [[0, 0], [0, missing]], constant_values=-1.0))
    kept, _, _, count = batched_nms(
        tf.stack(boxes, axis=2),
        tf.stack(scores, axis=2),
        iou_threshold=cfg.RPN.PROPOSAL_NMS_THRESH,
        per_class=top,
        total=top,
        score_threshold=0.0,
    )
    return Proposals(tf.stop_gradient(kept), tf.sequence_mask(count, top))


class RpnTargets(NamedTuple):
    """What the RPN should say of the anchors that were drawn for this step."""

    index: Tensor
    """int32 (B, S), into the anchors of all levels"""
    sampled: Tensor
    """bool (B, S): False where an image had fewer candidates"""
    foreground: Tensor
    """bool (B, S)"""
    deltas: Tensor
    """float32 (B, S, 4), meaningful for the foreground"""


def rpn_targets(
    anchors: Tensor, gt_boxes: Tensor, gt_labels: Tensor, image_size: Tensor, seed: Tensor, cfg: Config
) -> RpnTargets:
    """Anchors (A, 4) matched to the objects of each image and sampled.

    An anchor whose centre lies in the padding, or that lies in a crowd region, is not a candidate.
    """
    batch = tf.shape(gt_boxes)[0]
    tiled = tf.tile(anchors[None], [batch, 1, 1])
    centre_x, centre_y = (tiled[..., 0] + tiled[..., 2]) / 2, (tiled[..., 1] + tiled[..., 3]) / 2
    ignored = (centre_y > image_size[:, None, 0]) | (centre_x > image_size[:, None, 1])
    iou = box_ops.pairwise_iou(tiled, gt_boxes)
    matched, labels = match(
        # An anchor in the padding must not be any object's best one.
        tf.where(tf.broadcast_to(ignored[..., None], tf.shape(iou)), tf.zeros_like(iou), iou),
        gt_labels > 0,
        cfg.RPN.NEGATIVE_ANCHOR_THRESH,
        cfg.RPN.POSITIVE_ANCHOR_THRESH,
        keep_best_per_gt=True,
    )
    if cfg.RPN.CROWD_OVERLAP_THRESH <= 1:
        in_crowd = box_ops.pairwise_overlap_of_first(tiled, gt_boxes) > cfg.RPN.CROWD_OVERLAP_THRESH
        ignored |= tf.reduce_any(in_crowd & tf.equal(gt_labels, CROWD)[:, None], axis=-1)
    labels = tf.where(ignored, -tf.ones_like(labels), labels)
    index, sampled = sample(labels, cfg.RPN.BATCH_PER_IM, cfg.RPN.FG_RATIO, seed)
    boxes = tf.gather(gt_boxes, tf.gather(matched, index, batch_dims=1), batch_dims=1)
    return RpnTargets(
        index,
        sampled,
        sampled & tf.equal(tf.gather(labels, index, batch_dims=1), FOREGROUND),
        box_ops.encode(boxes, tf.gather(anchors, index), UNIT_WEIGHTS),
    )
