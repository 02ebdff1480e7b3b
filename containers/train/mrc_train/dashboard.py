"""Summaries for TensorBoard besides scalars: settings (HParams), the layout of charts, images and text."""

from collections.abc import Sequence
from functools import reduce
from typing import Any

import cv2
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.custom_scalar import summary as custom_scalar
from tensorboard.plugins.hparams import api_pb2
from tensorboard.plugins.hparams import summary as hparams
from tensorboard.plugins.text import summary as text_summary

from mrc_train.config import Config
from mrc_train.drawing import Image
from mrc_train.tfgraph import v1

SETTINGS = (
    "MODE_FPN",
    "MODE_MASK",
    "DATA.TRAIN",
    "BACKBONE.WEIGHTS",
    "BACKBONE.RESNET_NUM_BLOCKS",
    "BACKBONE.NORM",
    "BACKBONE.FREEZE_AT",
    "FPN.CASCADE",
    "PREPROC.TRAIN_SHORT_EDGE_SIZE",
    "PREPROC.MAX_SIZE",
    "TRAIN.BASE_LR",
    "TRAIN.LR_DECAY",
    "TRAIN.WARMUP",
    "TRAIN.OPTIMIZER",
    "TRAIN.WEIGHT_DECAY",
    "TRAIN.GRADIENT_CLIP",
    "TRAIN.MIXED_PRECISION",
    "TRAIN.SEED",
)
"""Settings that typically differ between the runs of a project; shown in HParams."""

MAX_EDGE = 1280
"""Longest edge of an image in pixels; limits the images of an evaluation to a few hundred kilobytes."""


def about(
    cfg: Config, splits: Sequence[str], name: str, ranks: int, total_batch: int, steps: int
) -> list[Any]:
    """Summaries that are written once per run: its settings and metrics (HParams), and the layout of charts.

    Args:
        splits: names of the validation splits, as in the names of the scalars.
        name: the run's name. TensorBoard shows runs with the same name as one.
    """
    values: dict[str, Any] = {key: reduce(getattr, key.split("."), cfg) for key in SETTINGS}
    values["DATA.TRAIN"] = ", ".join(cfg.DATA.TRAIN)
    values |= {"ranks": ranks, "total batch": total_batch, "steps": steps}
    data_types = {
        bool: api_pb2.DATA_TYPE_BOOL,
        int: api_pb2.DATA_TYPE_FLOAT64,
        float: api_pb2.DATA_TYPE_FLOAT64,
    }
    infos = [
        api_pb2.HParamInfo(name=key, type=data_types.get(type(value), api_pb2.DATA_TYPE_STRING))
        for key, value in values.items()
    ]
    metrics = [
        api_pb2.MetricInfo(name=api_pb2.MetricName(tag=tag))
        for tag in (*_headline_metrics(splits, cfg.MODE_MASK), "loss/total", "images_per_second")
    ]
    return [
        hparams.experiment_pb(infos, metrics),
        hparams.session_start_pb(values, group_name=name),
        custom_scalar.pb(_layout(splits, cfg.MODE_MASK)),
    ]


def text(tag: str, content: str) -> Any:
    """A text summary."""
    return text_summary.pb(tag, content)


def image(tag: str, pixels: Image) -> Any:
    """An image summary of uint8 (H, W, 3) BGR, scaled down to at most ``MAX_EDGE`` pixels."""
    height, width = pixels.shape[:2]
    factor = min(1.0, MAX_EDGE / max(height, width))
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    _, encoded = cv2.imencode(".jpg", cv2.resize(pixels, size, interpolation=cv2.INTER_AREA))
    encoded_image = v1.Summary.Image(
        width=size[0], height=size[1], colorspace=3, encoded_image_string=encoded.tobytes()
    )
    return v1.Summary(value=[v1.Summary.Value(tag=tag, image=encoded_image)])


def _headline_metrics(splits: Sequence[str], has_masks: bool) -> list[str]:
    return [
        f"{prefix}{kind}/{metric}"
        for prefix in _prefixes(splits)
        for kind in (("bbox", "segm") if has_masks else ("bbox",))
        for metric in ("AP", "AP50", "AP75")
    ]


def _prefixes(splits: Sequence[str]) -> list[str]:
    """The prefix of each split's metrics: empty when there is only one split."""
    return [""] * len(splits) if len(splits) < 2 else [f"{split}/" for split in splits]


def _layout(splits: Sequence[str], has_masks: bool) -> Any:
    charts = {
        "Loss": {"total": "loss/total", "parts": "loss/(?!total).+"},
        **{
            f"Average precision{f' on {prefix[:-1]}' if prefix else ''}": {
                title: f"{prefix}{kind}/{metrics}"
                for kind, box in (("bbox", "box"), *((("segm", "mask"),) if has_masks else ()))
                for title, metrics in (
                    (f"{box} AP", "(AP|AP50|AP75)"),
                    (f"{box} AP by size", "AP_(small|medium|large)"),
                )
            }
            for prefix in _prefixes(splits)
        },
        "Training": {"learning rate": "learning_rate", "images per second": "images_per_second"},
    }
    return layout_pb2.Layout(
        category=[
            layout_pb2.Category(
                title=title,
                chart=[
                    layout_pb2.Chart(title=name, multiline=layout_pb2.MultilineChartContent(tag=[f"^{tag}$"]))
                    for name, tag in content.items()
                ],
            )
            for title, content in charts.items()
        ]
    )
