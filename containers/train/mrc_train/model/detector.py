"""Mask R-CNN as a tensorpack model: one graph for training and inference.

Shapes: B images of H x W pixels (padded to multiples of 32), G ground-truth boxes an image (padded),
N detections over all images. Boxes are float32 x1, y1, x2, y2 in pixels of the resized image.
"""

from collections.abc import Callable
from typing import Any

from mrc_train.config import Config
from mrc_train.model import proposals as rpn
from mrc_train.model.backbone import preprocess
from mrc_train.model.heads import rpn_head, rpn_head_at
from mrc_train.model.padding import Padding, cleared
from mrc_train.model.rois import Rois, box_targets, rematched, sample_rois
from mrc_train.model.trunk import BoxHead, BoxOutput, Trunk, trunk_of
from mrc_train.ops import Tensor, losses
from mrc_train.ops import boxes as box_ops
from mrc_train.ops.mask_targets import crop_mask_targets
from mrc_train.ops.nms import batched_nms
from mrc_train.precision import with_loss_scale
from mrc_train.tfgraph import tf, v1

from tensorpack import ModelDesc  # isort: skip
from tensorpack.models import l2_regularizer, regularize_cost  # isort: skip
from tensorpack.tfutils import gradproc, optimizer  # isort: skip
from tensorpack.tfutils.summary import add_moving_summary  # isort: skip

INFERENCE_INPUTS = ["image", "image_size"]
BOX_OUTPUTS = ["output/image_index", "output/boxes", "output/scores", "output/labels"]
MASK_OUTPUT = "output/masks"
IMAGE_IDS = "batch/image_id:0"
"""Name of the tensor with the image ids of a training step."""

MASK_ROWS = 8
"""The mask head is trained on a multiple of this number of regions: oneDNN and cuDNN prepare a convolution
again for each number, and oneDNN's transposed convolution has a wrong gradient for none."""


class MaskRCNN(ModelDesc):
    """The model of one rank.

    Args:
        cfg: the settings.
        num_classes: classes with the background.
        learning_rate: as a function of the input ``step``; training only.
        rank: this process among all; with the step, it determines the samples. Training only.
        with_padding: whether images may be padded to larger ones of their batch. Without padding, no mask
            has to be applied to the maps, which costs a tenth of a step.
        scales_loss: whether gradients are in float16; training only.

    Attributes:
        stages: intermediate tensors of the last graph built: ``maps``, ``rpn_logits`` and ``rpn_deltas``
            (lists, one each map), ``proposals`` and, of inference, ``box_outputs`` (a list, one each head).
    """

    stages: dict[str, Any]

    def __init__(
        self,
        cfg: Config,
        num_classes: int,
        learning_rate: Callable[[int], float] | None = None,
        rank: int = 0,
        with_padding: bool = True,
        scales_loss: bool = False,
    ) -> None:
        self._cfg = cfg
        self._num_classes = num_classes
        self._learning_rate = learning_rate
        self._rank = rank
        self._with_padding = with_padding
        self._scales_loss = scales_loss

    def inputs(self) -> list[Any]:
        """The inputs of one step, in the order of the data flow."""
        specs = [
            tf.TensorSpec((), tf.int32, "step"),
            tf.TensorSpec((None, None, None, 3), tf.uint8, "image"),
            tf.TensorSpec((None, 2), tf.float32, "image_size"),
            tf.TensorSpec((None, None, 4), tf.float32, "gt_boxes"),
            tf.TensorSpec((None, None), tf.int32, "gt_labels"),
        ]
        if self._cfg.MODE_MASK:
            specs.append(tf.TensorSpec((None, None, None, None), tf.uint8, "gt_masks"))
        return [*specs, tf.TensorSpec((None,), tf.int64, "image_id")]

    @property
    def output_names(self) -> list[str]:
        """The output tensors of inference, each with N rows; masks are (N, 28, 28), or (N, 14, 14)
        without FPN."""
        return [*BOX_OUTPUTS, MASK_OUTPUT] if self._cfg.MODE_MASK else BOX_OUTPUTS

    def build_graph(self, *inputs: Tensor) -> Tensor | None:
        """The total loss in training; in inference the tensors of ``output_names``."""
        cfg = self._cfg
        batch = dict(zip((spec.name for spec in self.inputs()), inputs, strict=True))
        size = batch["image_size"]
        image = preprocess(batch["image"], size, cfg.PREPROC.PIXEL_MEAN, cfg.PREPROC.PIXEL_STD)
        padding = Padding(image, size) if self._with_padding else None
        trunk = trunk_of(image, self._num_classes, cfg, padding)
        kinds = len(trunk.anchor_sizes[0]) * len(cfg.RPN.ANCHOR_RATIOS)
        maps = [cleared(feature, padding) for feature in trunk.maps]
        logits, deltas = rpn_head(maps, trunk.rpn_channels, kinds)
        with tf.name_scope("anchors"):
            anchors = rpn.level_anchors(
                trunk.maps, trunk.strides, trunk.anchor_sizes, cfg.RPN.ANCHOR_RATIOS, padding
            )
        proposals = self._propose(logits, deltas, anchors, size)
        self.stages = {
            "maps": trunk.maps,
            "rpn_logits": logits,
            "rpn_deltas": deltas,
            "proposals": proposals,
            "box_outputs": [],
        }
        if not self.training:
            self._detect(trunk, proposals, size)
            return None

        def rpn_at(index: Tensor) -> tuple[Tensor, Tensor]:
            # Its gradient updates the weights: only after the complete maps have used the old ones.
            with tf.control_dependencies([*logits, *deltas]):
                return rpn_head_at(maps, index, trunk.rpn_channels, kinds)

        return self._total(self._losses(trunk, rpn_at, rpn.joined(anchors), proposals, batch))

    def optimizer(self) -> Any:
        """Momentum .9 as in the paper, or Adam; gradients are clipped by their global norm."""
        train = self._cfg.TRAIN
        # Not a variable set by a callback: the step comes with the batch, so a resumed run is not off by one.
        rate = v1.py_func(self._rate_at, [self._step], tf.float32, stateful=False)
        rate.set_shape([])
        v1.summary.scalar("learning_rate", rate)
        if train.OPTIMIZER == "adam":
            chosen = v1.train.AdamOptimizer(rate, epsilon=train.ADAM_EPSILON)
        else:
            chosen = v1.train.MomentumOptimizer(rate, 0.9)
        if train.GRADIENT_CLIP:
            chosen = optimizer.apply_grad_processors(chosen, [gradproc.GlobalNormClip(train.GRADIENT_CLIP)])
        return with_loss_scale(chosen) if self._scales_loss else chosen

    def _rate_at(self, step: Any) -> Any:
        assert self._learning_rate is not None, "the optimizer exists in training only"
        return tf.float32.as_numpy_dtype(self._learning_rate(int(step)))

    def _propose(
        self, logits: list[Tensor], deltas: list[Tensor], anchors: list[rpn.Anchors], size: Tensor
    ) -> rpn.Proposals:
        cfg = self._cfg.RPN
        if self._cfg.MODE_FPN and self._cfg.FPN.PROPOSAL_MODE == "Level":
            top = cfg.TRAIN_PER_LEVEL_NMS_TOPK if self.training else cfg.TEST_PER_LEVEL_NMS_TOPK
            before, after = top, top
        else:
            logits, deltas, anchors = [tf.concat(logits, 1)], [tf.concat(deltas, 1)], [rpn.joined(anchors)]
            before, after = cfg.TEST_PRE_NMS_TOPK, cfg.TEST_POST_NMS_TOPK
            if self.training:
                before, after = cfg.TRAIN_PRE_NMS_TOPK, cfg.TRAIN_POST_NMS_TOPK
        with tf.name_scope("proposals"):
            return rpn.propose(
                logits, deltas, anchors, size, before, after, cfg.PROPOSAL_NMS_THRESH, cfg.MIN_SIZE
            )

    def _losses(
        self,
        trunk: Trunk,
        rpn_at: Callable[[Tensor], tuple[Tensor, Tensor]],
        anchors: rpn.Anchors,
        proposals: rpn.Proposals,
        batch: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        cfg = self._cfg
        self._step = batch["step"]
        tf.identity(batch["image_id"], name=IMAGE_IDS.removesuffix(":0"))
        size, gt_boxes, gt_labels = batch["image_size"], batch["gt_boxes"], batch["gt_labels"]
        parts = {}
        with tf.name_scope("rpn_losses"):
            targets = rpn.rpn_targets(anchors, gt_boxes, gt_labels, size, self._seeds(size, 0), cfg.RPN)
            parts["rpn_class"], parts["rpn_box"] = losses.rpn_losses(
                *rpn_at(targets.index),
                tf.cast(targets.foreground, tf.int32),
                targets.deltas,
                targets.sampled,
                cfg.RPN.BATCH_PER_IM,
            )
        with tf.name_scope("sample_rois"):
            sampled = sample_rois(proposals, gt_boxes, gt_labels, self._seeds(size, 1), cfg.FRCNN)
        first, *others = trunk.box_heads()
        first_output = output = first.run(_flat(sampled.boxes), _image_index(sampled.boxes))
        parts |= self._box_losses(first, output, sampled, gt_boxes)
        rois, head = sampled, first
        for following in others:
            moved = _moved(rois.boxes, head, output, size)[:, :, 0]
            rois, head = rematched(rois, moved, gt_boxes, gt_labels, following.iou), following
            output = head.run(_flat(rois.boxes), _image_index(rois.boxes))
            parts |= self._box_losses(head, output, rois, gt_boxes)
        if cfg.MODE_MASK:
            parts["mask"] = self._mask_loss(trunk, sampled, first_output.features, batch["gt_masks"])
        return parts

    def _box_losses(
        self, head: BoxHead, output: BoxOutput, rois: Rois, gt_boxes: Tensor
    ) -> dict[str, Tensor]:
        with tf.name_scope(f"{head.name}_losses"):
            classes, boxes = losses.box_head_losses(
                _per_image(output.logits, rois.boxes),
                _per_image(output.deltas, rois.boxes),
                rois.labels,
                box_targets(rois, gt_boxes, head.weights),
                rois.valid,
            )
        return {f"{head.name}_class": classes, f"{head.name}_box": boxes}

    def _mask_loss(self, trunk: Trunk, rois: Rois, box_features: Tensor, gt_masks: Tensor) -> Tensor:
        cfg = self._cfg
        labels = tf.reshape(rois.labels, [-1])
        chosen = _foreground_first(labels)
        labels = tf.gather(labels, chosen)
        image_index = tf.gather(_image_index(rois.boxes), chosen)
        boxes = tf.gather(_flat(rois.boxes), chosen)
        gt_index = tf.gather(tf.reshape(rois.gt_index, [-1]), chosen)
        logits = trunk.mask_logits(boxes, image_index, tf.gather(box_features, chosen))
        if cfg.MRCNN.CLASS_AGNOSTIC:
            labels = tf.minimum(labels, 1)  # the one map is that of class 1
        with tf.name_scope("mask_loss"):
            targets = crop_mask_targets(gt_masks, image_index, gt_index, boxes, logits.shape.as_list()[1])
            return losses.mask_loss(logits, labels, targets, image_index, tf.shape(rois.labels)[0])

    def _total(self, parts: dict[str, Tensor]) -> Tensor:
        parts = {name: tf.identity(part, name=f"loss/{name}") for name, part in parts.items()}
        parts["weight_decay"] = regularize_cost(
            ".*/W", l2_regularizer(self._cfg.TRAIN.WEIGHT_DECAY), name="loss/weight_decay"
        )
        total = tf.add_n(list(parts.values()), name="loss/total")
        add_moving_summary(total, *parts.values())
        return total

    def _seeds(self, image_size: Tensor, stream: int) -> Tensor:
        """int32 (B, 2): the seed of each image's random choices, from the step and its position in the batch
        of all ranks: a resumed run draws what the uninterrupted one would have, two ranks what one would.

        Within int32 for the seeds that the settings allow and 100 million steps.
        """
        batch = tf.shape(image_size)[0]
        position = self._rank * batch + tf.range(batch)
        step = tf.fill([batch], self._cfg.TRAIN.SEED * 1_000_003 + self._step)
        return tf.stack([step, position * 2 + stream], axis=1)

    def _detect(self, trunk: Trunk, proposals: rpn.Proposals, image_size: Tensor) -> None:
        cfg = self._cfg
        boxes, probabilities = proposals.boxes[:, :, None], []
        for head in trunk.box_heads():
            regions = boxes[:, :, 0]
            output = head.run(_flat(regions), _image_index(regions))
            self.stages["box_outputs"].append(output)
            probabilities.append(_per_image(tf.nn.softmax(output.logits), regions))
            boxes = _moved(regions, head, output, image_size)
        if boxes.shape[2] > 1:
            boxes = boxes[:, :, 1:]  # without the background class
        scores = (tf.add_n(probabilities) / len(probabilities))[..., 1:]
        scores = tf.where(
            tf.broadcast_to(proposals.valid[..., None], tf.shape(scores)), scores, -tf.ones_like(scores)
        )
        boxes, scores, labels, count = batched_nms(
            boxes,
            scores,
            iou_threshold=cfg.TEST.FRCNN_NMS_THRESH,
            per_class=cfg.TEST.RESULTS_PER_IM,
            total=cfg.TEST.RESULTS_PER_IM,
            score_threshold=cfg.TEST.RESULT_SCORE_THRESH,
        )
        where = tf.cast(tf.where(tf.sequence_mask(count, cfg.TEST.RESULTS_PER_IM)), tf.int32)
        image_index, boxes = where[:, 0], tf.gather_nd(boxes, where)
        labels = tf.gather_nd(labels, where)  # here 0 is the first category, since the background was removed
        results = [image_index, boxes, tf.gather_nd(scores, where), labels + 1]
        if cfg.MODE_MASK:
            logits = tf.transpose(trunk.mask_logits(boxes, image_index, None), [0, 3, 1, 2])
            channel = tf.zeros_like(labels) if cfg.MRCNN.CLASS_AGNOSTIC else labels
            results.append(tf.sigmoid(tf.gather(logits, channel, batch_dims=1)))
        for tensor, name in zip(results, self.output_names, strict=True):
            tf.identity(tensor, name=name)


def _moved(boxes: Tensor, head: BoxHead, output: BoxOutput, image_size: Tensor) -> Tensor:
    """Boxes (B, S, 4) by the head's offsets, one for each of K classes or one for all: (B, S, K, 4)."""
    deltas = _per_image(output.deltas, boxes)
    return tf.stop_gradient(box_ops.clip(box_ops.decode(deltas, boxes[:, :, None], head.weights), image_size))


def _foreground_first(labels: Tensor) -> Tensor:
    """int32 (K,): the rows with a label, and some without up to a multiple of ``MASK_ROWS``, or to all."""
    is_foreground = tf.cast(labels > 0, tf.int32)
    filled = MASK_ROWS * tf.maximum(1, -(-tf.reduce_sum(is_foreground) // MASK_ROWS))
    return tf.argsort(is_foreground, direction="DESCENDING", stable=True)[:filled]


def _flat(boxes: Tensor) -> Tensor:
    return tf.reshape(boxes, [-1, 4])


def _image_index(boxes: Tensor) -> Tensor:
    """int32 (B * S,): the image of each of the boxes (B, S, 4)."""
    shape = tf.shape(boxes)
    return tf.repeat(tf.range(shape[0]), shape[1])


def _per_image(x: Tensor, boxes: Tensor) -> Tensor:
    """(B * S, ...) as (B, S, ...), where ``boxes`` is (B, S, 4)."""
    return tf.reshape(x, [-1, tf.shape(boxes)[1], *x.shape.as_list()[1:]])
