"""Mask R-CNN stage by stage against torchvision's with the same random weights, on a real photo.

What is different on purpose, and put aside for the comparison: torchvision rounds its anchors to whole
pixels, its RoIAlign is not shifted by half a pixel, its P6 anchors' stride is the image's side divided by
the map's (the same for multiples of 64), and it predicts a mask of the background. All else, such as
paddings, the place of the stride, the order of anchors and channels, limits and thresholds, is the same.
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
    """BGR uint8: the first of MRC_TEST_PHOTOS, or a drawn scene without it."""
    folder = os.environ.get("MRC_TEST_PHOTOS")
    if folder:
        image = cv2.imread(str(min(Path(folder).glob("train2017/*"))))
    else:
        image = draw_scene(np.random.default_rng(0), HEIGHT).image
    return cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def ours(photo: np.ndarray, *settings: str) -> tuple[Arrays, dict[str, Any]]:
    """Random weights by name, and what our model computes with them: its outputs and stages."""
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
    assert np.abs(theirs).max() > 0.01, f"{what}: all but 0, the comparison says nothing"
    np.testing.assert_allclose(ours, theirs, atol=1e-3, rtol=0, err_msg=what)


def test_every_stage_of_mask_rcnn_is_torchvisions(
    photo: np.ndarray, torch_side: Callable[..., Arrays]
) -> None:
    weights, got = ours(photo)
    valid, (heads,) = got["proposals"].valid[0], got["box_outputs"]
    stages = {f"p{k + 2}": x for k, x in enumerate(got["maps"])}
    stages |= {f"rpn_logits{k}": x for k, x in enumerate(got["rpn_logits"])}
    stages |= {f"rpn_deltas{k}": x for k, x in enumerate(got["rpn_deltas"])}
    stages["proposals"] = got["proposals"].boxes[0][valid]
    stages |= {"class_logits": heads.logits[valid], "box_deltas": heads.deltas[valid]}
    stages |= {name: got[name] for name in ("boxes", "scores", "labels", "masks")}
    assert len(stages["proposals"]) > 300 and len(stages["boxes"]) > 20
    theirs = torch_side("stages", image=photo, **weights, **stages)
    assert theirs.keys() == stages.keys()
    # Proposals of equal score have no order: each is compared with the nearest.
    distance = np.abs(stages["proposals"][:, None] - theirs["proposals"]).max(-1)
    assert max(distance.min(0).max(), distance.min(1).max()) < 1e-3
    del stages["proposals"]
    for name, value in stages.items():
        assert_close(value, theirs[name], name)


def test_every_stage_of_a_model_without_pyramid_is_that_of_torchvisions_parts(
    photo: np.ndarray, torch_side: Callable[..., Arrays]
) -> None:
    weights, got = ours(photo, "MODE_FPN=False", "TEST.RESULT_SCORE_THRESH=0", "RPN.TEST_POST_NMS_TOPK=50")
    proposals, (heads,) = got["proposals"].boxes[0], got["box_outputs"]
    stages = {"c4": got["maps"][0], "rpn_logits": got["rpn_logits"][0], "rpn_deltas": got["rpn_deltas"][0]}
    theirs = torch_side("c4_stages", image=photo, proposals=proposals, **weights, **stages)
    stages |= {"features": heads.features, "class": heads.logits, "box": heads.deltas.reshape(50, -1)}
    for name, value in stages.items():
        assert_close(value, theirs[name], name)
    at_boxes = torch_side("c4_stages", image=photo, proposals=got["boxes"], **weights, c4=got["maps"][0])
    masks = at_boxes["masks"][np.arange(len(got["labels"])), :, :, got["labels"] - 1]
    assert_close(got["masks"], 1 / (1 + np.exp(-masks)), "masks")
