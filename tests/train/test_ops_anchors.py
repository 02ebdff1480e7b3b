import numpy as np
import pytest
from mrc_train.ops import anchors

RATIOS = (0.25, 1.0, 4.0)

# Detectron2, tests/modeling/test_anchor_generator.py: sizes 32 and 64 on a map of 1 x 2, stride 4.
DETECTRON2 = {
    32: [
        [[-32, -8, 32, 8], [-16, -16, 16, 16], [-8, -32, 8, 32]],
        [[-28, -8, 36, 8], [-12, -16, 20, 16], [-4, -32, 12, 32]],
    ],
    64: [
        [[-64, -16, 64, 16], [-32, -32, 32, 32], [-16, -64, 16, 64]],
        [[-60, -16, 68, 16], [-28, -32, 36, 32], [-12, -64, 20, 64]],
    ],
}


@pytest.mark.parametrize("size", DETECTRON2)
def test_anchors_equal_those_of_detectron2(run_graph, size):
    grid = run_graph(lambda h, w: anchors.grid_anchors(h, w, 4, (size,), RATIOS), np.int32(1), np.int32(2))
    np.testing.assert_allclose(grid, [DETECTRON2[size]], atol=1e-4)


def test_anchors_are_centred_at_multiples_of_the_stride(run_graph):
    grid = run_graph(lambda h, w: anchors.grid_anchors(h, w, 16, (32,), (1.0,)), np.int32(2), np.int32(3))
    centres = (grid[..., 0, :2] + grid[..., 0, 2:]) / 2
    assert centres.tolist() == [[[0, 0], [16, 0], [32, 0]], [[0, 16], [16, 16], [32, 16]]]


def test_all_ratios_of_a_size_come_before_the_next_size():
    cell = anchors.cell_anchors((32, 64), RATIOS)
    np.testing.assert_allclose(cell, [*(box for size in (32, 64) for box in DETECTRON2[size][0])], atol=1e-4)


def test_anchors_have_the_area_and_aspect_ratio_asked_for():
    cell = anchors.cell_anchors((48,), (0.5, 1.0, 2.0))
    width, height = cell[:, 2] - cell[:, 0], cell[:, 3] - cell[:, 1]
    np.testing.assert_allclose(width * height, 48**2, rtol=1e-6)
    np.testing.assert_allclose(height / width, [0.5, 1.0, 2.0], rtol=1e-6)


def test_an_empty_feature_map_has_no_anchors(run_graph):
    grid = run_graph(lambda h, w: anchors.grid_anchors(h, w, 4, (32,), RATIOS), np.int32(0), np.int32(5))
    assert grid.shape == (0, 5, 3, 4)
