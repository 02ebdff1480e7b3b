"""Mask R-CNN with a feature pyramid, as a tensorpack model: one graph for training and inference.

Shapes: B images of H x W pixels (padded to multiples of 32), G ground-truth boxes an image (padded),
N detections over all images. Boxes are float32 x1, y1, x2, y2 in pixels of the resized image.
"""

from typing import Any

from mrc_train.config import Config
from mrc_train.model import proposals as rpn
from mrc_train.model.backbone import ResNet, preprocess
from mrc_train.model.fpn import feature_pyramid
from mrc_train.model.heads import box_head, mask_head, rpn_head
from mrc_train.model.rois import SampledRois, sample_rois
from mrc_train.ops import Tensor, losses
from mrc_train.ops import boxes as box_ops
from mrc_train.ops.mask_targets import crop_mask_targets
from mrc_train.ops.nms import batched_nms
from mrc_train.ops.roi_align import multilevel_roi_align
from mrc_train.schedule import LearningRate
from mrc_train.tfgraph import tf, v1

from tensorpack import ModelDesc  # isort: skip
from tensorpack.models import l2_regularizer, regularize_cost  # isort: skip
from tensorpack.tfutils import gradproc, optimizer  # isort: skip
from tensorpack.tfutils.summary import add_moving_summary  # isort: skip

BOX_RESOLUTION = 7
MASK_RESOLUTION = 14
"""Cells per side of a pooled RoI for the two heads (Fig. 4 of the Mask R-CNN paper)."""

INFERENCE_INPUTS = ["image", "image_size"]
BOX_OUTPUTS = ["output/image_index", "output/boxes", "output/scores", "output/labels"]
MASK_OUTPUT = "output/masks"
IMAGE_IDS = "batch/image_id:0"
"""The ids of the pictures of a training step."""


class MaskRCNN(ModelDesc):
    """The model of one rank.

    Args:
        cfg: the settings.
        num_classes: classes with the background.
        learning_rate: schedule; training only.
        rank: this process among all; it decides, with the step, what is sampled. Training only.
    """

    def __init__(
        self, cfg: Config, num_classes: int, learning_rate: LearningRate | None = None, rank: int = 0
    ) -> None:
        self._cfg = cfg
        self._num_classes = num_classes
        self._learning_rate = learning_rate
        self._rank = rank

    def inputs(self) -> list[Any]:
        """What one step is fed; the order is that of the data flow."""
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
        """Tensors that inference gives, each with N rows; masks are (N, 28, 28)."""
        return [*BOX_OUTPUTS, MASK_OUTPUT] if self._cfg.MODE_MASK else BOX_OUTPUTS

    def build_graph(self, *inputs: Tensor) -> Tensor | None:
        """The total loss in training; in inference the tensors of ``output_names``."""
        cfg = self._cfg
        batch = dict(zip((spec.name for spec in self.inputs()), inputs, strict=True))
        size = batch["image_size"]
        image = preprocess(batch["image"], size, cfg.PREPROC.PIXEL_MEAN, cfg.PREPROC.PIXEL_STD)
        pyramid = feature_pyramid(ResNet(cfg.BACKBONE)(image), cfg.FPN)
        logits, deltas = rpn_head(pyramid, cfg.FPN.NUM_CHANNEL, len(cfg.RPN.ANCHOR_RATIOS))
        with tf.name_scope("anchors"):
            anchors = rpn.level_anchors(pyramid, cfg)
        with tf.name_scope("proposals"):
            top = cfg.RPN.TRAIN_PER_LEVEL_NMS_TOPK if self.training else cfg.RPN.TEST_PER_LEVEL_NMS_TOPK
            proposals = rpn.propose(logits, deltas, anchors, size, top, cfg)
        if not self.training:
            self._detect(pyramid, proposals, size)
            return None
        parts = self._losses(
            pyramid, tf.concat(logits, 1), tf.concat(deltas, 1), tf.concat(anchors, 0), proposals, batch
        )
        return self._total(parts)

    def optimizer(self) -> Any:
        """Momentum .9 as in the paper, or Adam; the gradient is clipped by its global norm."""
        train = self._cfg.TRAIN
        # No variable set by a callback: the step comes with the batch, so a resumed run is not off by one.
        rate = v1.py_func(self._rate_at, [self._step], tf.float32, stateful=False)
        rate.set_shape([])
        v1.summary.scalar("learning_rate", rate)
        if train.OPTIMIZER == "adam":
            chosen = v1.train.AdamOptimizer(rate, epsilon=train.ADAM_EPSILON)
        else:
            chosen = v1.train.MomentumOptimizer(rate, 0.9)
        if train.GRADIENT_CLIP:
            return optimizer.apply_grad_processors(chosen, [gradproc.GlobalNormClip(train.GRADIENT_CLIP)])
        return chosen

    def _rate_at(self, step: Any) -> Any:
        assert self._learning_rate is not None, "the optimizer exists in training only"
        return tf.float32.as_numpy_dtype(self._learning_rate(int(step)))

    def _losses(
        self,
        pyramid: list[Tensor],
        logits: Tensor,
        deltas: Tensor,
        anchors: Tensor,
        proposals: rpn.Proposals,
        batch: dict[str, Tensor],
    ) -> dict[str, Tensor]:
        cfg = self._cfg
        self._step = batch["step"]
        tf.identity(batch["image_id"], name=IMAGE_IDS.removesuffix(":0"))
        gt_boxes, gt_labels = batch["gt_boxes"], batch["gt_labels"]
        with tf.name_scope("rpn_losses"):
            targets = rpn.rpn_targets(anchors, gt_boxes, gt_labels, batch["image_size"], self._seed(0), cfg)
            rpn_class, rpn_box = losses.rpn_losses(
                tf.gather(logits, targets.index, batch_dims=1),
                tf.gather(deltas, targets.index, batch_dims=1),
                tf.cast(targets.foreground, tf.int32),
                targets.deltas,
                targets.sampled,
                cfg.RPN.BATCH_PER_IM,
            )
        with tf.name_scope("sample_rois"):
            rois = sample_rois(proposals, gt_boxes, gt_labels, self._seed(1), cfg)
        class_logits, box_deltas = box_head(
            self._pooled(pyramid, _flat(rois.boxes), _image_index(rois.boxes), BOX_RESOLUTION),
            self._num_classes,
            cfg,
        )
        with tf.name_scope("fastrcnn_losses"):
            shape = [-1, cfg.FRCNN.BATCH_PER_IM, self._num_classes]
            fastrcnn_class, fastrcnn_box = losses.box_head_losses(
                tf.reshape(class_logits, shape),
                tf.reshape(box_deltas, [*shape, 4]),
                rois.labels,
                rois.deltas,
                rois.sampled,
            )
        parts = {
            "rpn_class": rpn_class,
            "rpn_box": rpn_box,
            "fastrcnn_class": fastrcnn_class,
            "fastrcnn_box": fastrcnn_box,
        }
        if cfg.MODE_MASK:
            parts["mask"] = self._mask_loss(pyramid, rois, batch["gt_masks"])
        return parts

    def _mask_loss(self, pyramid: list[Tensor], rois: SampledRois, gt_masks: Tensor) -> Tensor:
        cfg = self._cfg
        # Foreground comes first; a fixed number of rows, some of them padding, because oneDNN's transposed
        # convolution has a wrong gradient for none.
        rows = max(1, int(cfg.FRCNN.BATCH_PER_IM * cfg.FRCNN.FG_RATIO))
        boxes, labels, gt_index = (x[:, :rows] for x in (rois.boxes, rois.labels, rois.gt_index))
        image_index, boxes, labels = _image_index(boxes), _flat(boxes), tf.reshape(labels, [-1])
        logits = mask_head(
            self._pooled(pyramid, boxes, image_index, MASK_RESOLUTION), self._num_classes - 1, cfg
        )
        with tf.name_scope("mask_loss"):
            targets = crop_mask_targets(
                gt_masks, image_index, tf.reshape(gt_index, [-1]), boxes, 2 * MASK_RESOLUTION
            )
            return losses.mask_loss(logits, labels, targets, image_index, tf.shape(rois.labels)[0])

    def _total(self, parts: dict[str, Tensor]) -> Tensor:
        parts = {name: tf.identity(part, name=f"loss/{name}") for name, part in parts.items()}
        parts["weight_decay"] = regularize_cost(
            ".*/W", l2_regularizer(self._cfg.TRAIN.WEIGHT_DECAY), name="loss/weight_decay"
        )
        total = tf.add_n(list(parts.values()), name="loss/total")
        add_moving_summary(total, *parts.values())
        return total

    def _seed(self, stream: int) -> Tensor:
        """Seed of a stateless random op: a resumed run draws what the uninterrupted one would have.

        Within int32 for the seeds that the settings allow and 100 million steps.
        """
        return tf.stack([self._cfg.TRAIN.SEED * 1_000_003 + self._step, self._rank * 2 + stream])

    def _pooled(self, pyramid: list[Tensor], boxes: Tensor, image_index: Tensor, resolution: int) -> Tensor:
        """RoI features (N, resolution, resolution, ch) from P2 to P5."""
        return multilevel_roi_align(
            pyramid[:4],
            self._cfg.FPN.ANCHOR_STRIDES[:4],
            tf.stop_gradient(boxes),
            image_index,
            resolution,
            self._cfg.FPN.CANONICAL_SIZE,
        )

    def _detect(self, pyramid: list[Tensor], proposals: rpn.Proposals, image_size: Tensor) -> None:
        cfg = self._cfg
        top, classes = cfg.RPN.TEST_PER_LEVEL_NMS_TOPK, self._num_classes
        logits, deltas = box_head(
            self._pooled(pyramid, _flat(proposals.boxes), _image_index(proposals.boxes), BOX_RESOLUTION),
            classes,
            cfg,
        )
        scores = tf.reshape(tf.nn.softmax(logits), [-1, top, classes])[..., 1:]
        scores = tf.where(
            tf.tile(proposals.valid[..., None], [1, 1, classes - 1]), scores, -tf.ones_like(scores)
        )
        decoded = box_ops.decode(
            tf.reshape(deltas, [-1, top * classes, 4]),
            tf.repeat(proposals.boxes, classes, axis=1),
            cfg.FRCNN.BBOX_REG_WEIGHTS,
        )
        decoded = tf.reshape(box_ops.clip(decoded, image_size), [-1, top, classes, 4])[:, :, 1:]
        boxes, scores, labels, count = batched_nms(
            decoded,
            scores,
            iou_threshold=cfg.TEST.FRCNN_NMS_THRESH,
            per_class=cfg.TEST.RESULTS_PER_IM,
            total=cfg.TEST.RESULTS_PER_IM,
            score_threshold=cfg.TEST.RESULT_SCORE_THRESH,
        )
        where = tf.cast(tf.where(tf.sequence_mask(count, cfg.TEST.RESULTS_PER_IM)), tf.int32)
        image_index, boxes = where[:, 0], tf.gather_nd(boxes, where)
        labels = tf.gather_nd(labels, where)  # 0 is the first category here, the background is gone
        results = [image_index, boxes, tf.gather_nd(scores, where), labels + 1]
        if cfg.MODE_MASK:
            mask_logits = mask_head(
                self._pooled(pyramid, boxes, image_index, MASK_RESOLUTION), classes - 1, cfg
            )
            own = tf.gather(tf.transpose(mask_logits, [0, 3, 1, 2]), labels, batch_dims=1)
            results.append(tf.sigmoid(own))
        for tensor, name in zip(results, self.output_names, strict=True):
            tf.identity(tensor, name=name)


def _flat(boxes: Tensor) -> Tensor:
    return tf.reshape(boxes, [-1, 4])


def _image_index(boxes: Tensor) -> Tensor:
    """int32 (B * R,): the image of each of the boxes (B, R, 4)."""
    shape = tf.shape(boxes)
    return tf.repeat(tf.range(shape[0]), shape[1])
