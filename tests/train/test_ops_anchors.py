import numpy as np
import pytest
from mrc_train.ops import anchors

RATIOS = (0.25, 1.0, 4.0)

# Detectron2, tests/modeling/test_anchor_generator.py: sizes 32 and 64 on a map of 1 x 2, stride 4.
DETECTRON2 = {
    (32, 0.0): [
        [[-32, -8, 32, 8], [-16, -16, 16, 16], [-8, -32, 8, 32]],
        [[-28, -8, 36, 8], [-12, -16, 20, 16], [-4, -32, 12, 32]],
    ],
    (64, 0.0): [
        [[-64, -16, 64, 16], [-32, -32, 32, 32], [-16, -64, 16, 64]],
        [[-60, -16, 68, 16], [-28, -32, 36, 32], [-12, -64, 20, 64]],
    ],
    (32, 0.5): [
        [[-30, -6, 34, 10], [-14, -14, 18, 18], [-6, -30, 10, 34]],
        [[-26, -6, 38, 10], [-10, -14, 22, 18], [-2, -30, 14, 34]],
    ],
}


@pytest.mark.parametrize(("size", "offset"), DETECTRON2)
def test_anchors_equal_detectron2s(run_graph, size, offset):
    grid = run_graph(
        lambda h, w: anchors.grid_anchors(h, w, 4, size, RATIOS, offset), np.int32(1), np.int32(2)
    )
    np.testing.assert_allclose(grid, np.reshape(DETECTRON2[size, offset], (-1, 4)), atol=1e-4)


def test_anchors_are_centred_in_their_feature_map_pixel_by_default(run_graph):
    grid = run_graph(lambda h, w: anchors.grid_anchors(h, w, 16, 32, (1.0,)), np.int32(2), np.int32(3))
    centres = (grid[:, :2] + grid[:, 2:]) / 2
    assert centres.tolist() == [[8, 8], [24, 8], [40, 8], [8, 24], [24, 24], [40, 24]]


def test_anchors_are_ordered_as_a_convolution_output_flattens(run_graph):
    grid = run_graph(lambda h, w: anchors.grid_anchors(h, w, 8, 32, RATIOS), np.int32(5), np.int32(7))
    row, column, ratio = 3, 6, 2
    anchor = grid.reshape(5, 7, 3, 4)[row, column, ratio]
    np.testing.assert_allclose(anchor, [52 - 8, 28 - 32, 52 + 8, 28 + 32], atol=1e-4)


def test_every_anchor_has_the_area_of_its_size_and_the_height_to_width_of_its_ratio():
    cell = anchors.cell_anchors(48, (0.5, 1.0, 2.0))
    width, height = cell[:, 2] - cell[:, 0], cell[:, 3] - cell[:, 1]
    np.testing.assert_allclose(width * height, 48**2, rtol=1e-6)
    np.testing.assert_allclose(height / width, [0.5, 1.0, 2.0], rtol=1e-6)


def test_an_empty_feature_map_has_no_anchors(run_graph):
    grid = run_graph(lambda h, w: anchors.grid_anchors(h, w, 4, 32, RATIOS), np.int32(0), np.int32(5))
    assert grid.shape == (0, 4)
