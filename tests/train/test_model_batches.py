"""Losses and detections of an image do not depend on the other images in its batch."""

from functools import cache

import numpy as np
import pytest
from model_graphs import Arrays, Graph, collate, one_image_batch

# Each of the two is padded in one direction when they are batched together.
PORTRAIT = one_image_batch(100, 50, [[4, 4, 30, 34], [20, 28, 48, 99]], [1, 4], seed=3)
LANDSCAPE = one_image_batch(60, 128, [[90, 10, 127, 59]], [2], seed=4)

MODELS = {
    "FPN, frozen batch norm": ["BACKBONE.NORM=FreezeBN"],
    "FPN, group norm, cascade": [
        "BACKBONE.NORM=GN",
        "BACKBONE.CHANNELS=(32,32,32,32)",
        "FPN.NORM=GN",
        "FPN.NUM_CHANNEL=32",
        "FPN.CASCADE=True",
        "FPN.PROPOSAL_MODE=Joint",
    ],
    "C4": ["MODE_FPN=False", "BACKBONE.BLOCK=bottleneck", "RPN.HEAD_DIM=16"],
}
LIMITS = [f"RPN.{phase}_{when}_NMS_TOPK=40" for phase in ("TRAIN", "TEST") for when in ("PRE", "POST")]


@cache
def graph(model: str, batch: int, training: bool) -> Graph:
    return Graph(*MODELS[model], *LIMITS, f"TRAIN.BATCH_SIZE_PER_GPU={batch}", training=training)


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_of_two_has_the_mean_losses_of_two_batches_of_one(model: str) -> None:
    single = graph(model, batch=1, training=True)
    first, second = single(PORTRAIT, rank=0), single(LANDSCAPE, rank=1)
    both = graph(model, batch=2, training=True)(collate([PORTRAIT, LANDSCAPE]))
    assert both.keys() == first.keys() and len(both) >= 6
    for name in both:
        assert both[name] == pytest.approx((first[name] + second[name]) / 2, rel=1e-4, abs=1e-6), name
    assert abs(first["loss/rpn_class"] - second["loss/rpn_class"]) > 1e-3, (
        "the images differ too little for this test"
    )


@pytest.mark.parametrize("model", MODELS)
def test_a_batch_of_two_has_the_detections_of_two_batches_of_one(model: str) -> None:
    detect = graph(model, batch=1, training=False)
    both = detect(collate([PORTRAIT, LANDSCAPE]))
    index = both["output/image_index"]
    for number, batch in enumerate((PORTRAIT, LANDSCAPE)):
        single = detect(batch)
        assert len(single["output/scores"]) > 5
        for name, tolerance in (("boxes", 1e-4), ("scores", 1e-5), ("labels", 0), ("masks", 1e-4)):
            np.testing.assert_allclose(
                both[f"output/{name}"][index == number], single[f"output/{name}"], atol=tolerance, rtol=0
            )


def test_the_mean_gradient_of_two_ranks_equals_that_of_one_rank_with_both_images() -> None:
    model = "FPN, frozen batch norm"
    single, double = (graph(model, batch, training=True) for batch in (1, 2))
    ranks = [single(batch, rank, gradients=True) for rank, batch in enumerate((PORTRAIT, LANDSCAPE))]
    both: Arrays = double(collate([PORTRAIT, LANDSCAPE]), gradients=True)
    assert len(both) > 40
    for name, gradient in both.items():
        mean = (ranks[0][name] + ranks[1][name]) / 2
        np.testing.assert_allclose(
            gradient, mean, rtol=0, atol=1e-5 * max(1, np.abs(mean).max()), err_msg=name
        )
