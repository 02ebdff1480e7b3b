import math

import numpy as np
import pytest
import slow_references
from mrc_train.ops import roi_align as ops
from mrc_train.tfgraph import tf

NAN, INF = math.nan, math.inf

# Two float32 implementations round random coordinates differently.
TOLERANCE = {"atol": 5e-5, "rtol": 0}


@pytest.fixture
def roi_align(run_graph):
    def run(features, boxes, image_index, stride=1, resolution=7, ratio=2):
        return run_graph(
            lambda f, b, i: ops.roi_align(f, b, i, stride, resolution, ratio),
            features,
            np.reshape(np.float32(boxes), (-1, 4)),
            np.int32(image_index),
        )

    return run


def random_boxes(random: np.random.Generator, number: int, size: float, min_side: float = 1) -> np.ndarray:
    """Boxes inside an image of size x size, across its border, and completely outside: (number, 4)."""
    corner = random.uniform(-0.6 * size, size, (number, 2))
    return np.concatenate([corner, corner + random.uniform(min_side, size, (number, 2))], axis=1)


def test_values_equal_the_example_of_detectron2(roi_align):
    features = np.arange(25.0).reshape(1, 5, 5, 1)
    pooled = roi_align(features, [1, 1, 3, 3], [0], resolution=4)[0, :, :, 0]
    expected = [[4.5, 5, 5.5, 6], [7, 7.5, 8, 8.5], [9.5, 10, 10.5, 11], [12, 12.5, 13, 13.5]]
    np.testing.assert_allclose(pooled, expected, atol=1e-5)


@pytest.mark.parametrize("ratio", [1, 2, 3])
@pytest.mark.parametrize("stride", [1, 4])
def test_random_boxes_equal_the_definition(roi_align, stride, ratio):
    random = np.random.default_rng(stride * 10 + ratio)
    features = random.standard_normal((2, 9, 13, 3))
    boxes = random_boxes(random, 40, 13 * stride)
    image_index = random.integers(0, 2, 40)
    pooled = roi_align(features, boxes, image_index, stride, 3, ratio)
    expected = [
        slow_references.roi_align(features[i], box, stride, 3, ratio)
        for i, box in zip(image_index, boxes, strict=True)
    ]
    np.testing.assert_allclose(pooled, expected, **TOLERANCE)


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (5, 1), (2, 2)])
def test_maps_of_one_pixel_equal_the_definition(roi_align, size):
    random = np.random.default_rng(0)
    features = random.standard_normal((1, *size, 2))
    boxes = random_boxes(random, 20, 64)
    pooled = roi_align(features, boxes, [0] * 20, 16, 7)
    expected = [slow_references.roi_align(features[0], box, 16, 7, 2) for box in boxes]
    np.testing.assert_allclose(pooled, expected, **TOLERANCE)


def test_the_result_has_the_dtype_of_float16_features(roi_align):
    random = np.random.default_rng(3)
    features = random.standard_normal((1, 9, 9, 2)).astype(np.float16)
    boxes = random_boxes(random, 20, 9)
    pooled = roi_align(features, boxes, [0] * 20)
    expected = [slow_references.roi_align(features[0].astype(float), box, 1, 7, 2) for box in boxes]
    assert pooled.dtype == np.float16
    np.testing.assert_allclose(pooled, expected, atol=4e-3)


@pytest.mark.parametrize("stride", [2, 4, 8])
def test_a_linear_ramp_is_resampled_exactly_at_every_stride(roi_align, stride):
    centre = (np.arange(64 // stride) + 0.5) * stride  # centres of the feature-map pixels, in image pixels
    ramp = np.stack(np.broadcast_arrays(centre[None, :], centre[:, None]), axis=-1)[None]
    pooled = roi_align(ramp, [10, 20, 38, 48], [0], stride)
    np.testing.assert_allclose(pooled[0, 0, :, 0], 10 + (np.arange(7) + 0.5) * 4, rtol=1e-5)
    np.testing.assert_allclose(pooled[0, :, 0, 1], 20 + (np.arange(7) + 0.5) * 4, rtol=1e-5)


def test_the_gradient_of_the_features_equals_that_of_the_definition(run_graph):
    random = np.random.default_rng(5)
    features = random.standard_normal((1, 4, 5, 1))
    boxes = random_boxes(random, 12, 5)
    upstream = random.standard_normal((12, 3, 3, 1))

    def gradient(f, b, u):
        return tf.gradients(ops.roi_align(f, b, tf.zeros([12], tf.int32), 1, 3), f, u)[0]

    # RoIAlign is linear, so its derivative with respect to a pixel is its value on an image where only that
    # pixel is 1.
    expected = np.zeros((4, 5))
    for pixel in np.ndindex(4, 5):
        image = np.zeros((4, 5, 1))
        image[pixel] = 1
        pooled = [slow_references.roi_align(image, box, 1, 3, 2) for box in boxes]
        expected[pixel] = np.sum(pooled * upstream)
    np.testing.assert_allclose(
        run_graph(gradient, features, boxes, upstream)[0, :, :, 0], expected, atol=1e-4
    )


def test_no_gradient_reaches_the_boxes(run_graph):
    def has_no_gradient(f, b):
        return tf.constant(tf.gradients(ops.roi_align(f, b, tf.zeros([1], tf.int32), 1, 3), b) == [None])

    assert run_graph(has_no_gradient, np.ones((1, 4, 4, 1)), [[0.0, 0, 3, 3]])


BROKEN = {
    "a point": [2, 2, 2, 2],
    "a line": [1, 1, 1, 3],
    "inside out": [3, 3, 1, 1],
    "padding": [0, 0, 0, 0],
    "NaN": [NAN, 0, 3, 3],
    "infinite": [0, 0, INF, 3],
    "overflow": [-1e30, -1e30, 1e30, 1e30],
    "far away": [1e6, 1e6, 1e6 + 9, 1e6 + 9],
}


@pytest.mark.parametrize("box", BROKEN.values(), ids=BROKEN)
def test_a_box_without_any_part_of_the_image_gives_zeros_and_zero_gradients(run_graph, box):
    def values_and_gradient(f, b):
        pooled = ops.roi_align(f, b, tf.zeros([1], tf.int32), 1, 7)
        return pooled, tf.gradients(pooled, f)[0]

    pooled, gradient = run_graph(values_and_gradient, np.ones((1, 5, 5, 2)), [np.float32(box)])
    assert pooled.shape == (1, 7, 7, 2)
    assert not pooled.any()
    assert not gradient.any()


def test_no_boxes_give_no_features(roi_align):
    assert roi_align(np.ones((2, 5, 5, 3)), [], []).shape == (0, 7, 7, 3)


# Lin et al. 2017, equation 1, k0 = 4: the level goes up by one with each doubling of the side.
@pytest.mark.parametrize(
    ("side", "level"),
    [(0, 2), (20, 2), (111, 2), (112, 3), (223, 3), (224, 4), (447, 4), (448, 5), (5000, 5)],
)
def test_the_level_of_a_box_changes_at_112_224_and_448_pixels(run_graph, side, level):
    box = [[7.0, 9.0, 7.0 + side, 9.0 + side]]
    assert run_graph(lambda b: ops.assign_levels(b, 224), box) == [level]


def test_the_level_depends_on_the_area_and_not_on_the_shape(run_graph):
    boxes = [[0.0, 0, 56, 224], [0.0, 0, 448, 112], [0.0, 0, 440, 112]]
    assert run_graph(lambda b: ops.assign_levels(b, 224), boxes).tolist() == [3, 4, 3]


def test_levels_are_relative_to_the_canonical_size(run_graph):
    assert run_graph(lambda b: ops.assign_levels(b, 80), [[0.0, 0, 40, 40], [0.0, 0, 160, 160]]).tolist() == [
        3,
        5,
    ]


def test_boxes_are_pooled_from_their_levels_in_their_original_order(run_graph):
    random = np.random.default_rng(6)
    strides = (4, 8, 16, 32)
    pyramid = [random.standard_normal((2, 128 // s, 160 // s, 3)) for s in strides]
    side = random.permutation(np.repeat([20, 50, 100, 200], 5))
    corner = random.uniform(-10, 60, (20, 2))
    boxes = np.concatenate([corner, corner + side[:, None]], axis=1)
    image_index = random.integers(0, 2, 20).astype(np.int32)
    pooled = run_graph(
        lambda b, i, *f: ops.multilevel_roi_align(f, strides, b, i, 3, 80), boxes, image_index, *pyramid
    )
    for row, box in enumerate(boxes):
        level = {20: 0, 50: 1, 100: 2, 200: 3}[side[row]]
        image = pyramid[level][image_index[row]]
        expected = slow_references.roi_align(image, box, strides[level], 3, 2)
        np.testing.assert_allclose(pooled[row], expected, **TOLERANCE)


def test_no_boxes_give_no_features_of_a_pyramid(run_graph):
    pyramid = [np.ones((1, 8, 8, 3)), np.ones((1, 4, 4, 3))]
    pooled = run_graph(
        lambda b, i, *f: ops.multilevel_roi_align(f, (4, 8), b, i, 7, 224),
        np.zeros((0, 4)),
        np.zeros(0, np.int32),
        *pyramid,
    )
    assert pooled.shape == (0, 7, 7, 3)
