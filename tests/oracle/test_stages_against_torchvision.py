"""Every stage of Mask R-CNN against torchvision, with the same random weights, on a photo.

There are four intended differences, which torch_side.py or the choice of inputs removes: torchvision rounds
anchors to integers, its RoIAlign is not aligned (shifted by half a pixel), the stride of its P6 anchors is
the size of the image divided by that of the map (equal for multiples of 64), and it predicts a mask for the
background. Everything else is the same, such as padding, the convolution that has the stride, the order of
anchors and channels, limits and thresholds.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from model_graphs import random_weights
from mrc_train import config
from mrc_train.model.detector import INFERENCE_INPUTS, MaskRCNN
from mrc_train.scenes import draw_scene
from mrc_train.tfgraph import tf, v1
from tensorpack.tfutils.tower import PredictTowerContext

Arrays = dict[str, np.ndarray]
CLASSES = 91
HEIGHT, WIDTH = 256, 320


@pytest.fixture(scope="module")
def photo() -> np.ndarray:
    """The first image of MRC_TEST_PHOTOS, or a drawn scene if it is not set: uint8 (HEIGHT, WIDTH, 3) BGR."""
    directory = os.environ.get("MRC_TEST_PHOTOS")
    if directory:
        image = cv2.imread(str(min(Path(directory).glob("train2017/*"))))
    else:
        image = draw_scene(np.random.default_rng(0), HEIGHT).image
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def run_model(photo: np.ndarray, *settings: str) -> tuple[Arrays, dict[str, Any]]:
    """Random weights by name, and the outputs and stages of our model with these weights."""
    with tf.Graph().as_default() as graph, v1.Session() as session:
        model = MaskRCNN(config.parse(settings), CLASSES)
        inputs = {s.name: v1.placeholder(s.dtype, s.shape, s.name) for s in model.inputs()}
        with PredictTowerContext(""):
            model.build_graph(*inputs.values())
        variables = v1.global_variables()
        weights = random_weights({v.op.name: tuple(v.shape.as_list()) for v in variables})
        for v in variables:
            v.load(weights[v.op.name], session)
        outputs = {
            name.removeprefix("output/"): graph.get_tensor_by_name(f"{name}:0") for name in model.output_names
        }
        image, size = (inputs[name] for name in INFERENCE_INPUTS)
        feed = {image: photo[None], size: np.float32([[HEIGHT, WIDTH]])}
        return weights, session.run({**outputs, **model.stages}, feed)


def assert_close(ours: np.ndarray, theirs: np.ndarray, what: str) -> None:
    assert np.abs(theirs).max() > 0.01, f"{what}: values are too close to 0 for a comparison"
    np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=0, err_msg=what)


def test_every_stage_of_mask_rcnn_equals_that_of_torchvision(
    photo: np.ndarray, torch_side: Callable[..., Arrays]
) -> None:
    weights, results = run_model(photo)
    valid, (heads,) = results["proposals"].valid[0], results["box_outputs"]
    stages = {f"p{k + 2}": x for k, x in enumerate(results["maps"])}
    stages |= {f"rpn_logits{k}": x for k, x in enumerate(results["rpn_logits"])}
    stages |= {f"rpn_deltas{k}": x for k, x in enumerate(results["rpn_deltas"])}
    stages["proposals"] = results["proposals"].boxes[0][valid]
    stages |= {"class_logits": heads.logits[valid], "box_deltas": heads.deltas[valid]}
    stages |= {name: results[name] for name in ("boxes", "scores", "labels", "masks")}
    assert len(stages["proposals"]) > 300 and len(stages["boxes"]) > 20
    theirs = torch_side("stages", image=photo, **weights, **stages)
    assert theirs.keys() == stages.keys()
    # The order of proposals with equal scores is undefined, so each is compared with the nearest one.
    distance = np.abs(stages["proposals"][:, None] - theirs["proposals"]).max(-1)
    assert max(distance.min(0).max(), distance.min(1).max()) < 1e-3
    del stages["proposals"]
    for name, value in stages.items():
        assert_close(value, theirs[name], name)


def test_every_stage_of_a_c4_model_equals_one_built_from_parts_of_torchvision(
    photo: np.ndarray, torch_side: Callable[..., Arrays]
) -> None:
    weights, results = run_model(
        photo, "MODE_FPN=False", "TEST.RESULT_SCORE_THRESH=0", "RPN.TEST_POST_NMS_TOPK=50"
    )
    proposals, (heads,) = results["proposals"].boxes[0], results["box_outputs"]
    stages = {
        "c4": results["maps"][0],
        "rpn_logits": results["rpn_logits"][0],
        "rpn_deltas": results["rpn_deltas"][0],
    }
    theirs = torch_side("c4_stages", image=photo, proposals=proposals, **weights, **stages)
    stages |= {"features": heads.features, "class": heads.logits, "box": heads.deltas.reshape(50, -1)}
    for name, value in stages.items():
        assert_close(value, theirs[name], name)
    detected = torch_side(
        "c4_stages", image=photo, proposals=results["boxes"], **weights, c4=results["maps"][0]
    )
    masks = detected["masks"][np.arange(len(results["labels"])), :, :, results["labels"] - 1]
    assert_close(results["masks"], 1 / (1 + np.exp(-masks)), "masks")
