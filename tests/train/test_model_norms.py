"""Batch norm with the statistics of the images of all ranks (SyncBN)."""

from pathlib import Path

import numpy as np
import pytest
import tiny
from model_graphs import collate, one_image_batch

BATCHES = [
    one_image_batch(64, 96, [[4, 4, 30, 34], [20, 28, 48, 60]], [1, 4], seed=1),
    one_image_batch(64, 96, [[50, 10, 90, 59]], [2], seed=2),
]
SETTINGS = ("BACKBONE.FREEZE_AT=1",)


def test_sync_batch_norm_on_two_ranks_equals_batch_norm_on_one_with_both_images(
    tmp_path: Path,
) -> None:
    """Compares losses, gradients and moving means with TensorFlow's own batch norm in one process."""
    from model_graphs import Graph

    done = tiny.run_ranks(2, Path(__file__).with_name("sync_norm_ranks.py"), tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    first, second = (np.load(tmp_path / f"{rank}.npz") for rank in (0, 1))

    graph = Graph(*SETTINGS, "BACKBONE.NORM=BN", "TRAIN.BATCH_SIZE_PER_GPU=2", training=True)
    batch = collate(BATCHES)
    for name, loss in graph(batch).items():
        assert loss == pytest.approx((first[name] + second[name]) / 2, rel=1e-4), name
    gradients = graph(batch, gradients=True)
    assert len(gradients) > 50
    for name, gradient in gradients.items():
        mean = (first[name] + second[name]) / 2
        # Compared by norm: a ReLU at a rounding boundary changes single numbers by a percent, statistics of a
        # single rank would change all of them by far more.
        assert np.linalg.norm(mean - gradient) <= 0.02 * np.linalg.norm(gradient), name
    means = {name: value for name, value in graph.averages().items() if name.endswith("mean/EMA")}
    updated = [name for name, value in means.items() if not np.array_equal(value, graph.values[name])]
    assert len(updated) == 9, "all layers except the frozen first one"
    for name, value in means.items():
        assert np.array_equal(first[name], second[name])
        np.testing.assert_allclose(first[name], value, atol=1e-5, err_msg=name)
