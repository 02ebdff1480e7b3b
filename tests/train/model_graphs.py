"""The graph of a small model outside the trainer, with random weights, and batches to run it on."""

import re
from typing import Any

import numpy as np
import tiny
from mrc_train import config
from mrc_train.model.detector import INFERENCE_INPUTS, MaskRCNN
from mrc_train.tfgraph import tf, v1
from tensorpack.tfutils.tower import PredictTowerContext, TrainTowerContext

CLASSES = 5

Arrays = dict[str, np.ndarray]


def one_image_batch(
    height: int, width: int, boxes: list[list[float]], labels: list[int], seed: int = 0
) -> Arrays:
    """Inputs of a batch of one noise image; the mask of each object is its box."""
    padded = [-(-length // 32) * 32 for length in (height, width)]
    image = np.zeros((1, *padded, 3), np.uint8)
    image[0, :height, :width] = np.random.default_rng(seed).integers(0, 256, (height, width, 3))
    masks = np.zeros((1, len(boxes), *padded), np.uint8)
    for mask, (x1, y1, x2, y2) in zip(masks[0], boxes, strict=True):
        mask[int(y1) : int(y2), int(x1) : int(x2)] = 1
    return {
        "step": np.int32(0),
        "image": image,
        "image_size": np.float32([[height, width]]),
        "gt_boxes": np.float32([boxes]),
        "gt_labels": np.int32([labels]),
        "gt_masks": np.packbits(masks, axis=-1),
        "image_id": np.int64([7]),
    }


def collate(batches: list[Arrays]) -> Arrays:
    """Combine batches of one image into one batch, padded at the end of every axis."""

    def pad_and_concatenate(arrays: list[np.ndarray]) -> np.ndarray:
        shape = np.max([array.shape[1:] for array in arrays], axis=0)
        return np.concatenate(
            [
                np.pad(
                    a,
                    [
                        (0, 0),
                        *((0, largest - side) for largest, side in zip(shape, a.shape[1:], strict=True)),
                    ],
                )
                for a in arrays
            ]
        )

    return {"step": batches[0]["step"]} | {
        name: pad_and_concatenate([batch[name] for batch in batches]) for name in batches[0] if name != "step"
    }


def random_weights(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> Arrays:
    """Weights with which every part of the network affects the outputs, and features stay moderate."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in sorted(shapes.items()):
        if name.endswith(("variance/EMA", "gamma")):
            weights[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif len(shape) > 1:
            # Small box offsets, and objectness where the sigmoid is not saturated, so that scores differ.
            scale = 0.3 if "/box/" in name or name.startswith("rpn/class") else 1.0
            weights[name] = rng.normal(0, scale * np.prod(shape[:-1]) ** -0.5, shape).astype(np.float32)
        else:
            weights[name] = rng.normal(0, 0.2, shape).astype(np.float32)
    return weights


def loss_names(graph: Any) -> list[str]:
    """Names of the losses of a training graph, without weight decay."""
    names = (op.name for op in graph.get_operations())
    return [name for name in names if re.fullmatch(r"loss/([a-z0-9]+_(class|box)|mask|total)", name)]


def small_graph() -> Any:
    """Session options for small graphs: no graph optimization, which takes longer than running them.

    A single thread, so that sums, and with them thresholded RoIs, are reproducible. The first session of a
    process determines the thread pool of all later ones, whatever their options.
    """
    options = v1.ConfigProto(intra_op_parallelism_threads=1, inter_op_parallelism_threads=1)
    options.graph_options.rewrite_options.disable_meta_optimizer = True
    return options


class Graph:
    """A model built for training or inference, with ``random_weights``.

    The rank is an input, so that one graph can compute the results of any rank.
    """

    def __init__(self, *settings: str, training: bool) -> None:
        cfg = config.parse([*tiny.SETTINGS, *settings])
        self._training = training
        with tf.Graph().as_default() as graph:
            self._rank = v1.placeholder_with_default(0, [])
            model = MaskRCNN(
                cfg,
                CLASSES,
                rank=self._rank,  # type: ignore[arg-type]
                with_padding=not training or cfg.TRAIN.BATCH_SIZE_PER_GPU > 1,
            )
            self._inputs = {s.name: v1.placeholder(s.dtype, s.shape, s.name) for s in model.inputs()}
            with (TrainTowerContext if training else PredictTowerContext)(""):
                self._cost = model.build_graph(*self._inputs.values())
            if training:
                self._outputs = {n: graph.get_tensor_by_name(f"{n}:0") for n in loss_names(graph)}
            else:
                self._outputs = {n: graph.get_tensor_by_name(f"{n}:0") for n in model.output_names}
            self._stages = model.stages
            variables = v1.global_variables()
            self._gradients = None
            self._session = v1.Session(config=small_graph())
            self.values = random_weights({v.op.name: tuple(v.shape.as_list()) for v in variables})
            for v in variables:
                v.load(self.values[v.op.name], self._session)

    def __call__(self, inputs: Arrays, rank: int = 0, gradients: bool = False) -> Any:
        """Losses or detections by name, or with ``gradients`` the gradients of the total loss by variable."""
        outputs = self._outputs
        if gradients:
            with self._session.graph.as_default():
                if self._gradients is None:
                    variables = v1.trainable_variables()
                    by_variable = tf.gradients(self._cost, variables)
                    self._gradients = {
                        v.op.name: g for v, g in zip(variables, by_variable, strict=True) if g is not None
                    }
            outputs = self._gradients
        names = self._inputs if self._training else INFERENCE_INPUTS
        feed = {self._inputs[name]: inputs[name] for name in names}
        return self._session.run(outputs, {**feed, self._rank: rank})

    def stages(self, inputs: Arrays) -> Any:
        """The values of ``MaskRCNN.stages`` in inference, and the outputs by name."""
        feed = {self._inputs[name]: inputs[name] for name in INFERENCE_INPUTS}
        return self._session.run((self._stages, self._outputs), feed)

    def averages(self) -> Arrays:
        """The current moving averages of batch norm, by name."""
        with self._session.graph.as_default():
            variables = {v.op.name: v for v in v1.global_variables() if v.op.name.endswith("/EMA")}
        return self._session.run(variables)  # type: ignore[no-any-return]
