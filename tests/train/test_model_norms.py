"""Batch norm over the images of all ranks."""

from pathlib import Path

import numpy as np
import pytest
import tiny
from model_graphs import picture, together

PICTURES = [
    picture(64, 96, [[4, 4, 30, 34], [20, 28, 48, 60]], [1, 4], seed=1),
    picture(64, 96, [[50, 10, 90, 59]], [2], seed=2),
]
SETTINGS = ("BACKBONE.FREEZE_AT=1",)


def test_two_ranks_with_sync_batch_norm_compute_what_one_process_does_with_both_pictures(
    tmp_path: Path,
) -> None:
    """Losses, gradients and moving means; what one process does is TensorFlow's own batch norm."""
    from model_graphs import Graph

    done = tiny.run_ranks(2, Path(__file__).with_name("sync_norm_ranks.py"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in (0, 1))

    graph = Graph(*SETTINGS, "BACKBONE.NORM=BN", "TRAIN.BATCH_SIZE_PER_GPU=2", training=True)
    batch = together(PICTURES)
    for name, loss in graph(batch).items():
        assert loss == pytest.approx((first[name] + second[name]) / 2, rel=1e-4), name
    gradients = graph(batch, gradients=True)
    assert len(gradients) > 50
    for name, gradient in gradients.items():
        mean = (first[name] + second[name]) / 2
        # By their length: one ReLU that rounds to the other side moves single numbers by a per cent, while
        # statistics of one rank's image alone move all of them by far more.
        assert np.linalg.norm(mean - gradient) <= 0.02 * np.linalg.norm(gradient), name
    means = {name: value for name, value in graph.averages().items() if name.endswith("mean/EMA")}
    moved = [name for name, value in means.items() if not np.array_equal(value, graph.values[name])]
    assert len(moved) == 9, "those of all layers but the frozen first one"
    for name, value in means.items():
        assert np.array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], value, atol=1e-5, err_msg=name)
