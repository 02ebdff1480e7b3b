"""Mask R-CNN as a tensorpack model, for training and inference.

Shapes: B images of H x W pixels (padded to multiples of 32), G ground-truth boxes per image (padded),
N detections over all images. Boxes are float32 x1, y1, x2, y2 in pixels of the resized image.
"""

from collections.abc import Callable
from typing import Any

from mrc_train.config import Config
from mrc_train.model import proposals as rpn
from mrc_train.model.backbone import preprocess
from mrc_train.model.heads import rpn_head, rpn_head_at
from mrc_train.model.rois import Rois, box_targets, rematch, sample_rois
from mrc_train.model.trunk import BoxHead, BoxOutput, Trunk, build_trunk
from mrc_train.model.valid_region import ValidRegion, zero_outside
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
"""Tensor with the image ids of a training step, int64 (B,)."""

MASK_ROWS = 8
"""The number of RoIs of the mask head in training is rounded up to a multiple of this.

oneDNN and cuDNN set up a convolution again for each new batch size, and oneDNN's transposed convolution has
a wrong gradient for an empty batch.
"""


class MaskRCNN(ModelDesc):
    """The Mask R-CNN model of one rank.

    Args:
        num_classes: number of classes including the background.
        learning_rate: learning rate as a function of the input ``step``; training only.
        rank: Horovod rank. Random samples depend on it and on the step; training only.
        with_padding: whether images may be padded to the size of larger ones in their batch. False saves
            about a tenth of a step, since valid regions need not be tracked.
        scales_loss: whether to scale the loss, for gradients in float16; training only.

    Attributes:
        stages: intermediate tensors of the last graph that was built, for inspection: ``maps``,
            ``rpn_logits`` and ``rpn_deltas`` (lists with one tensor per map), ``proposals`` and, in
            inference, ``box_outputs`` (a list with one ``BoxOutput`` per head).
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
        """Inputs of a step, in the order of the data flow."""
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
        """Tensors that inference returns, with N rows each.

        Masks are (N, 28, 28), or (N, 14, 14) without FPN.
        """
        return [*BOX_OUTPUTS, MASK_OUTPUT] if self._cfg.MODE_MASK else BOX_OUTPUTS

    def build_graph(self, *inputs: Tensor) -> Tensor | None:
        """Build the graph.

        Returns:
            The total loss, a float32 scalar, in training. In inference None; the tensors of
            ``output_names`` are part of the graph.
        """
        cfg = self._cfg
        batch = dict(zip((spec.name for spec in self.inputs()), inputs, strict=True))
        size = batch["image_size"]
        image = preprocess(batch["image"], size, cfg.PREPROC.PIXEL_MEAN, cfg.PREPROC.PIXEL_STD)
        valid_region = ValidRegion(image, size) if self._with_padding else None
        trunk = build_trunk(image, self._num_classes, cfg, valid_region)
        anchors_per_location = len(trunk.anchor_sizes[0]) * len(cfg.RPN.ANCHOR_RATIOS)
        maps = [zero_outside(feature, valid_region) for feature in trunk.maps]
        logits, deltas = rpn_head(maps, trunk.rpn_channels, anchors_per_location)
        with tf.name_scope("anchors"):
            anchors = rpn.level_anchors(
                trunk.maps, trunk.strides, trunk.anchor_sizes, cfg.RPN.ANCHOR_RATIOS, valid_region
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
            # Its gradient updates the weights, which must not happen before the RPN has run on all maps.
            with tf.control_dependencies([*logits, *deltas]):
                return rpn_head_at(maps, index, trunk.rpn_channels, anchors_per_location)

        return self._total_loss(self._losses(trunk, rpn_at, rpn.concat_anchors(anchors), proposals, batch))

    def optimizer(self) -> Any:
        """SGD with momentum 0.9 as in the paper, or Adam; optionally clips gradients by their global norm."""
        train = self._cfg.TRAIN
        # Computed from the step of the batch, not from a variable that a callback sets: the first step of a
        # resumed run has the right rate.
        rate = v1.py_func(self._learning_rate_at, [self._step], tf.float32, stateful=False)
        rate.set_shape([])
        v1.summary.scalar("learning_rate", rate)
        if train.OPTIMIZER == "adam":
            inner = v1.train.AdamOptimizer(rate, epsilon=train.ADAM_EPSILON)
        else:
            inner = v1.train.MomentumOptimizer(rate, 0.9)
        if train.GRADIENT_CLIP:
            inner = optimizer.apply_grad_processors(inner, [gradproc.GlobalNormClip(train.GRADIENT_CLIP)])
        return with_loss_scale(inner) if self._scales_loss else inner

    def _learning_rate_at(self, step: Any) -> Any:
        assert self._learning_rate is not None, "a learning rate is required for training"
        return tf.float32.as_numpy_dtype(self._learning_rate(int(step)))

    def _propose(
        self, logits: list[Tensor], deltas: list[Tensor], anchors: list[rpn.Anchors], size: Tensor
    ) -> rpn.Proposals:
        cfg = self._cfg.RPN
        if self._cfg.MODE_FPN and self._cfg.FPN.PROPOSAL_MODE == "Level":
            top = cfg.TRAIN_PER_LEVEL_NMS_TOPK if self.training else cfg.TEST_PER_LEVEL_NMS_TOPK
            before, after = top, top
        else:
            logits, deltas, anchors = (
                [tf.concat(logits, 1)],
                [tf.concat(deltas, 1)],
                [rpn.concat_anchors(anchors)],
            )
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
                targets.valid,
                cfg.RPN.BATCH_PER_IM,
            )
        with tf.name_scope("sample_rois"):
            sampled = sample_rois(proposals, gt_boxes, gt_labels, self._seeds(size, 1), cfg.FRCNN)
        first, *others = trunk.box_heads()
        first_output = output = first.run(_flat(sampled.boxes), _image_index(sampled.boxes))
        parts |= self._box_losses(first, output, sampled, gt_boxes)
        rois, head = sampled, first
        for next_head in others:
            boxes = _decoded(rois.boxes, head, output, size)[:, :, 0]
            rois, head = rematch(rois, boxes, gt_boxes, gt_labels, next_head.iou_threshold), next_head
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
        rows = _foreground_first(labels)
        labels = tf.gather(labels, rows)
        image_index = tf.gather(_image_index(rois.boxes), rows)
        boxes = tf.gather(_flat(rois.boxes), rows)
        gt_index = tf.gather(tf.reshape(rois.gt_index, [-1]), rows)
        logits = trunk.mask_logits(boxes, image_index, tf.gather(box_features, rows))
        if cfg.MRCNN.CLASS_AGNOSTIC:
            labels = tf.minimum(labels, 1)  # there is only the mask of class 1
        with tf.name_scope("mask_loss"):
            targets = crop_mask_targets(gt_masks, image_index, gt_index, boxes, logits.shape.as_list()[1])
            return losses.mask_loss(logits, labels, targets, image_index, tf.shape(rois.labels)[0])

    def _total_loss(self, parts: dict[str, Tensor]) -> Tensor:
        parts = {name: tf.identity(part, name=f"loss/{name}") for name, part in parts.items()}
        parts["weight_decay"] = regularize_cost(
            ".*/W", l2_regularizer(self._cfg.TRAIN.WEIGHT_DECAY), name="loss/weight_decay"
        )
        total = tf.add_n(list(parts.values()), name="loss/total")
        add_moving_summary(total, *parts.values())
        return total

    def _seeds(self, image_size: Tensor, stream: int) -> Tensor:
        """Seeds of the random choices of each image: int32 (B, 2).

        They depend on the step and on the image's position in the batch of all ranks. A resumed run therefore
        samples like an uninterrupted one, and two ranks sample like one. There is no overflow of int32 for
        100 million steps with any allowed ``TRAIN.SEED``.
        """
        batch = tf.shape(image_size)[0]
        position = self._rank * batch + tf.range(batch)
        step = tf.fill([batch], self._cfg.TRAIN.SEED * 1_000_003 + self._step)
        return tf.stack([step, position * 2 + stream], axis=1)

    def _detect(self, trunk: Trunk, proposals: rpn.Proposals, image_size: Tensor) -> None:
        cfg = self._cfg
        boxes, probabilities = proposals.boxes[:, :, None], []
        for head in trunk.box_heads():
            rois = boxes[:, :, 0]
            output = head.run(_flat(rois), _image_index(rois))
            self.stages["box_outputs"].append(output)
            probabilities.append(_per_image(tf.nn.softmax(output.logits), rois))
            boxes = _decoded(rois, head, output, image_size)
        if boxes.shape[2] > 1:
            boxes = boxes[:, :, 1:]  # drop the box of the background
        scores = (tf.add_n(probabilities) / len(probabilities))[..., 1:]
        scores = tf.where(proposals.valid[..., None], scores, -1.0)
        boxes, scores, labels, count = batched_nms(
            boxes,
            scores,
            iou_threshold=cfg.TEST.FRCNN_NMS_THRESH,
            per_class=cfg.TEST.RESULTS_PER_IM,
            total=cfg.TEST.RESULTS_PER_IM,
            score_threshold=cfg.TEST.RESULT_SCORE_THRESH,
        )
        indices = tf.cast(tf.where(tf.sequence_mask(count, cfg.TEST.RESULTS_PER_IM)), tf.int32)
        image_index, boxes = indices[:, 0], tf.gather_nd(boxes, indices)
        labels = tf.gather_nd(labels, indices)  # 0-based, without the background
        results = [image_index, boxes, tf.gather_nd(scores, indices), labels + 1]
        if cfg.MODE_MASK:
            logits = tf.transpose(trunk.mask_logits(boxes, image_index, None), [0, 3, 1, 2])
            channel = tf.zeros_like(labels) if cfg.MRCNN.CLASS_AGNOSTIC else labels
            results.append(tf.sigmoid(tf.gather(logits, channel, batch_dims=1)))
        for tensor, name in zip(results, self.output_names, strict=True):
            tf.identity(tensor, name=name)


def _decoded(boxes: Tensor, head: BoxHead, output: BoxOutput, image_size: Tensor) -> Tensor:
    """Boxes decoded from RoIs (B, S, 4) and the head's deltas, then clipped: (B, S, K, 4).

    K is the number of classes, or 1 if class-agnostic.
    """
    deltas = _per_image(output.deltas, boxes)
    return tf.stop_gradient(box_ops.clip(box_ops.decode(deltas, boxes[:, :, None], head.weights), image_size))


def _foreground_first(labels: Tensor) -> Tensor:
    """Rows of foreground, then of background up to a multiple of ``MASK_ROWS`` if possible: int32 (K,)."""
    is_foreground = tf.cast(labels > 0, tf.int32)
    count = MASK_ROWS * tf.maximum(1, -(-tf.reduce_sum(is_foreground) // MASK_ROWS))
    return tf.argsort(is_foreground, direction="DESCENDING", stable=True)[:count]


def _flat(boxes: Tensor) -> Tensor:
    return tf.reshape(boxes, [-1, 4])


def _image_index(boxes: Tensor) -> Tensor:
    """Index of the image of each of the boxes (B, S, 4): int32 (B * S,)."""
    batch, count, _ = tf.unstack(tf.shape(boxes))
    return tf.reshape(tf.tile(tf.range(batch)[:, None], [1, count]), [-1])


def _per_image(x: Tensor, boxes: Tensor) -> Tensor:
    """Reshape (B * S, ...) to (B, S, ...), where ``boxes`` is (B, S, 4)."""
    return tf.reshape(x, [-1, tf.shape(boxes)[1], *x.shape.as_list()[1:]])
