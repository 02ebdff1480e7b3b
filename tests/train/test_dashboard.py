"""The summaries of a run, read by TensorBoard's own reader."""

import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from mrc_train import dashboard
from mrc_train.config import parse
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata

PARTS = ("rpn_class", "rpn_box", "fastrcnn_class", "fastrcnn_box", "mask", "weight_decay")


@pytest.fixture(scope="module")
def events(finished: Path) -> EventAccumulator:
    """All events of a run with two epochs of three steps and an evaluation after each."""
    return EventAccumulator(str(finished), size_guidance={"images": 0, "tensors": 0}).Reload()


def hparams(events: EventAccumulator, tag: str) -> Any:
    content = events.SummaryMetadata(tag).plugin_data.content
    parse_plugin_data = {
        metadata.SESSION_START_INFO_TAG: metadata.parse_session_start_info_plugin_data,
        metadata.EXPERIMENT_TAG: metadata.parse_experiment_plugin_data,
    }[tag]
    return parse_plugin_data(content)


@pytest.mark.parametrize(
    "scalar", ["loss/total", "loss/mask", "learning_rate", "images_per_second", "bbox/AP50", "segm/AP"]
)
def test_scalars_are_written_for_every_epoch(scalar: str, events: EventAccumulator) -> None:
    assert [event.step for event in events.Scalars(scalar)] == [3, 6]


def test_every_evaluation_draws_the_same_four_images(events: EventAccumulator) -> None:
    tags = events.Tags()["images"]
    assert tags == [f"detections/val2017/{number}-00000{number}.jpg" for number in (1, 2, 3, 4)]
    for tag in tags:
        assert [event.step for event in events.Images(tag)] == [3, 6]
        encoded = np.frombuffer(events.Images(tag)[-1].encoded_image_string, np.uint8)
        drawn = cv2.imdecode(encoded, cv2.IMREAD_COLOR)
        assert drawn.shape[1] > 2 * 512, "detections and ground truth of 64 x 64 pixels, enlarged"
        assert drawn.std() > 20, "the image is blank"


def test_hparams_has_the_settings_of_the_run(events: EventAccumulator, finished: Path) -> None:
    start = hparams(events, metadata.SESSION_START_INFO_TAG)
    values = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    assert values["TRAIN.BASE_LR"] == 0.01
    assert values["BACKBONE.NORM"] == "None"
    assert values["MODE_MASK"] is True
    assert values["BACKBONE.RESNET_NUM_BLOCKS"] == "(1, 1, 1, 1)"
    assert (values["ranks"], values["total batch"], values["steps"]) == (1, 1, 6)
    assert start.group_name == finished.name


def test_all_metrics_and_settings_of_the_experiment_are_written(events: EventAccumulator) -> None:
    experiment = hparams(events, metadata.EXPERIMENT_TAG)
    metrics = {info.name.tag for info in experiment.metric_infos}
    assert metrics >= {"bbox/AP", "segm/AP50", "loss/total"}
    assert metrics <= set(events.Tags()["scalars"])
    start = hparams(events, metadata.SESSION_START_INFO_TAG)
    declared = {info.name for info in experiment.hparam_infos}
    assert declared == set(start.hparams)


def test_every_chart_of_the_layout_has_a_scalar(events: EventAccumulator) -> None:
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    charts = {
        chart.title: list(chart.multiline.tag) for category in layout.category for chart in category.chart
    }
    shown = {
        title: [
            tag for tag in events.Tags()["scalars"] if any(re.match(pattern, tag) for pattern in patterns)
        ]
        for title, patterns in charts.items()
    }
    assert [category.title for category in layout.category] == ["Loss", "Average precision", "Training"]
    assert shown["total"] == ["loss/total"]
    assert set(shown["parts"]) == {f"loss/{part}" for part in PARTS}
    assert shown["box AP"] == ["bbox/AP", "bbox/AP50", "bbox/AP75"]
    sizes = {"segm/AP_small", "segm/AP_medium", "segm/AP_large"}
    assert set(shown["mask AP by size"]) <= sizes  # only sizes of which there are objects
    assert all(shown.values())


def test_every_split_has_charts_and_metrics_without_masks_for_a_box_model() -> None:
    cfg = parse(["MODE_MASK=False"])
    experiment, _, layout = dashboard.about(cfg, ["val2017", "test"], "run", ranks=1, total_batch=1, steps=9)
    content = metadata.parse_experiment_plugin_data(experiment.value[0].metadata.plugin_data.content)
    metrics = [info.name.tag for info in content.metric_infos]
    assert [tag for tag in metrics if "/AP" in tag] == [
        f"{split}/bbox/{metric}" for split in ("val2017", "test") for metric in ("AP", "AP50", "AP75")
    ]
    titles = [
        category.title
        for category in layout_pb2.Layout.FromString(layout.value[0].tensor.string_val[0]).category
    ]
    assert titles == ["Loss", "Average precision on val2017", "Average precision on test", "Training"]


@pytest.mark.parametrize(("size", "expected"), [((3000, 1500), (1280, 640)), ((900, 600), (900, 600))])
def test_large_images_are_scaled_down(size: tuple[int, int], expected: tuple[int, int]) -> None:
    summary = dashboard.image("a", np.zeros((size[1], size[0], 3), np.uint8))
    (value,) = summary.value
    shape = cv2.imdecode(np.frombuffer(value.image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR).shape
    assert (value.image.width, value.image.height) == expected
    assert shape == (expected[1], expected[0], 3)
