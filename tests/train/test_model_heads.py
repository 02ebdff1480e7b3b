"""Heads that compute only a part of their outputs have the same results and gradients as complete ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

ANCHORS_PER_LOCATION = 3
SIZES = ((6, 9), (3, 5), (1, 2))
MAPS = [np.random.default_rng(k).normal(size=(2, *size, 16)) for k, size in enumerate(SIZES)]
NUM_ANCHORS = ANCHORS_PER_LOCATION * sum(height * width for height, width in SIZES)


def test_the_rpn_at_selected_anchors_equals_the_rpn_on_complete_maps(run_graph: Callable[..., Any]) -> None:
    """Compares outputs and gradients of maps and weights, for anchors inside, at the border and repeated."""
    from mrc_train.model.heads import rpn_head, rpn_head_at
    from mrc_train.ops import Tensor
    from mrc_train.tfgraph import tf, v1

    def both(*inputs: Tensor) -> list[list[Tensor]]:
        *maps, index = inputs
        v1.set_random_seed(1)
        logits, deltas = rpn_head(maps, channels=8, anchors_per_location=ANCHORS_PER_LOCATION)
        complete = [
            tf.gather(tf.concat(logits, 1), index, batch_dims=1),
            tf.gather(tf.concat(deltas, 1), index, batch_dims=1),
        ]
        selected = [*rpn_head_at(maps, index, channels=8, anchors_per_location=ANCHORS_PER_LOCATION)]
        variables = v1.trainable_variables()
        assert len(variables) == 6
        results = []
        for outputs in (complete, selected):
            loss = tf.add_n([tf.reduce_sum(tf.sin(output)) for output in outputs])
            results.append([*outputs, *tf.gradients(loss, [*maps, *variables])])
        v1.get_default_session().run(v1.global_variables_initializer())
        return results

    rng = np.random.default_rng(0)
    index = np.stack(
        [np.r_[0, 0, NUM_ANCHORS - 1, rng.integers(0, NUM_ANCHORS, 20)], rng.permutation(NUM_ANCHORS)[:23]]
    )
    complete, selected = run_graph(both, *MAPS, index.astype(np.int32))
    for expected, result in zip(complete, selected, strict=True):
        assert np.abs(expected).max() > 0
        np.testing.assert_allclose(result, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "rows"),
    [
        ([0, 2, 0, 0, 1, 0], [1, 4, 0, 2]),
        ([3, 2, 1, 4, 0, 0], [0, 1, 2, 3]),
        ([3, 0, 1, 4, 2, 5], [0, 2, 3, 4, 5, 1]),
        ([0, 0, 0, 0, 0, 0], [0, 1, 2, 3]),
        ([5], [0]),
    ],
)
def test_the_mask_head_is_trained_on_foreground_filled_up_with_background(
    labels: list[int], rows: list[int], run_graph: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mrc_train.model import detector

    monkeypatch.setattr(detector, "MASK_ROWS", 4)
    assert run_graph(detector._foreground_first, np.int32(labels)).tolist() == rows
