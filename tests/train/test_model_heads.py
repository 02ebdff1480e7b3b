"""The heads where they take a short cut: the same numbers and gradients as the long way."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

ANCHORS = 3
SIZES = ((6, 9), (3, 5), (1, 2))
MAPS = [np.random.default_rng(k).normal(size=(2, *size, 16)) for k, size in enumerate(SIZES)]
ALL = ANCHORS * sum(height * width for height, width in SIZES)


def test_the_rpn_at_a_few_anchors_equals_the_rpn_everywhere(run_graph: Callable[..., Any]) -> None:
    """Outputs, and gradients of the maps and of all weights; the same anchor twice, and all at the edges."""
    from mrc_train.model.heads import rpn_head, rpn_head_at
    from mrc_train.ops import Tensor
    from mrc_train.tfgraph import tf, v1

    def both(*inputs: Tensor) -> list[list[Tensor]]:
        *maps, index = inputs
        v1.set_random_seed(1)
        logits, deltas = rpn_head(maps, channels=8, num_anchors=ANCHORS)
        everywhere = [
            tf.gather(tf.concat(logits, 1), index, batch_dims=1),
            tf.gather(tf.concat(deltas, 1), index, batch_dims=1),
        ]
        there = [*rpn_head_at(maps, index, channels=8, num_anchors=ANCHORS)]
        variables = v1.trainable_variables()
        assert len(variables) == 6
        results = []
        for outputs in (everywhere, there):
            loss = tf.add_n([tf.reduce_sum(tf.sin(output)) for output in outputs])
            results.append([*outputs, *tf.gradients(loss, [*maps, *variables])])
        v1.get_default_session().run(v1.global_variables_initializer())
        return results

    rng = np.random.default_rng(0)
    index = np.stack([np.r_[0, 0, ALL - 1, rng.integers(0, ALL, 20)], rng.permutation(ALL)[:23]])
    everywhere, there = run_graph(both, *MAPS, index.astype(np.int32))
    for slow, fast in zip(everywhere, there, strict=True):
        assert np.abs(slow).max() > 0
        np.testing.assert_allclose(fast, slow, atol=1e-5)


@pytest.mark.parametrize(
    ("labels", "chosen"),
    [
        ([0, 2, 0, 0, 1, 0], [1, 4, 0, 2]),
        ([3, 2, 1, 4, 0, 0], [0, 1, 2, 3]),
        ([3, 0, 1, 4, 2, 5], [0, 2, 3, 4, 5, 1]),
        ([0, 0, 0, 0, 0, 0], [0, 1, 2, 3]),
        ([5], [0]),
    ],
)
def test_the_mask_head_learns_from_the_foreground_and_a_few_rows_to_fill_up(
    labels: list[int], chosen: list[int], run_graph: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from mrc_train.model import detector

    monkeypatch.setattr(detector, "MASK_ROWS", 4)
    assert run_graph(detector._foreground_first, np.int32(labels)).tolist() == chosen
