import math

import numpy as np
import pytest
from mrc_train.ops import boxes
from pycocotools import mask as coco_mask

NAN, INF = math.nan, math.inf
WEIGHTS = (10.0, 10.0, 5.0, 5.0)


def random_boxes(random: np.random.Generator, *shape: int) -> np.ndarray:
    corner = random.uniform(0, 300, (*shape, 2))
    return np.concatenate([corner, corner + random.uniform(8, 200, (*shape, 2))], axis=-1)


def as_xywh(box: np.ndarray) -> np.ndarray:
    return np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)


@pytest.mark.parametrize(
    ("box", "area"),
    [([1, 2, 4, 6], 12), ([5, 5, 5, 9], 0), ([9, 9, 1, 1], 0), ([-3, -1, 0, 1], 6)],
)
def test_area(run_graph, box, area):
    assert run_graph(boxes.area, np.array([box], float)) == [area]


def test_iou_equals_pycocotools(run_graph):
    random = np.random.default_rng(0)
    a, b = random_boxes(random, 2, 30), random_boxes(random, 2, 20)
    expected = [coco_mask.iou(as_xywh(a[i]), as_xywh(b[i]), [0] * 20) for i in range(2)]
    np.testing.assert_allclose(run_graph(boxes.pairwise_iou, a, b), expected, atol=1e-5)


def test_intersection_over_first_equals_the_crowd_overlap_of_pycocotools(run_graph):
    random = np.random.default_rng(1)
    a, b = random_boxes(random, 2, 30), random_boxes(random, 2, 20)
    expected = [coco_mask.iou(as_xywh(a[i]), as_xywh(b[i]), [1] * 20) for i in range(2)]
    np.testing.assert_allclose(run_graph(boxes.pairwise_intersection_over_first, a, b), expected, atol=1e-5)


@pytest.mark.parametrize("overlap", [boxes.pairwise_iou, boxes.pairwise_intersection_over_first])
def test_overlap_of_boxes_without_area_is_zero(run_graph, overlap):
    points = np.zeros((1, 2, 4))
    assert not run_graph(overlap, points, points).any()


def test_boxes_are_clipped_to_the_size_of_their_own_image(run_graph):
    box = [-5.0, -5.0, 1000.0, 1000.0]
    clipped = run_graph(boxes.clip, [[box], [box]], np.int32([[100, 200], [300, 50]]))
    assert clipped.tolist() == [[[0, 0, 200, 100]], [[0, 0, 50, 300]]]


def test_clip_accepts_boxes_per_class(run_graph):
    clipped = run_graph(boxes.clip, np.full((2, 3, 5, 4), 1e4), np.float32([[100, 200], [300, 50]]))
    assert clipped.shape == (2, 3, 5, 4)
    assert clipped[1, 2, 4].tolist() == [50, 300, 50, 300]


def test_encode_equals_a_worked_example(run_graph):
    anchor, box = [0.0, 0.0, 10.0, 20.0], [10.0, 5.0, 30.0, 15.0]  # centres (5, 10) and (20, 10)
    deltas = run_graph(lambda b, a: boxes.encode(b, a, WEIGHTS), [box], [anchor])
    np.testing.assert_allclose(deltas, [[10 * 15 / 10, 0, 5 * math.log(2), 5 * math.log(0.5)]], rtol=1e-6)


def test_decode_equals_a_worked_example(run_graph):
    anchor, deltas = [0.0, 0.0, 10.0, 20.0], [15.0, -10.0, 5 * math.log(2), 5 * math.log(0.5)]
    box = run_graph(lambda d, a: boxes.decode(d, a, WEIGHTS), [deltas], [anchor])
    np.testing.assert_allclose(box, [[10, -15, 30, -5]], rtol=1e-6)


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 1.0), WEIGHTS])
def test_decode_is_the_inverse_of_encode(run_graph, weights):
    random = np.random.default_rng(2)
    box, anchor = random_boxes(random, 200), random_boxes(random, 200)
    decoded = run_graph(lambda b, a: boxes.decode(boxes.encode(b, a, weights), a, weights), box, anchor)
    np.testing.assert_allclose(decoded, box, atol=1e-4, rtol=1e-6)


def test_decode_broadcasts_one_roi_over_its_classes(run_graph):
    decoded = run_graph(boxes.decode, np.zeros((2, 3, 5, 4)), np.full((2, 3, 1, 4), [[[[1.0, 2, 3, 4]]]]))
    assert decoded.shape == (2, 3, 5, 4)
    assert (decoded == [1, 2, 3, 4]).all()


def test_decoded_boxes_are_at_most_1000_sixteenths_of_their_anchor(run_graph):
    box = run_graph(boxes.decode, [[0.0, 0, 50, 1e30]], [[0.0, 0, 16, 16]])
    np.testing.assert_allclose(box, [[8 - 500, 8 - 500, 8 + 500, 8 + 500]], rtol=1e-5)


@pytest.mark.parametrize(
    "broken", [[NAN, 0, 0, 0], [0, INF, 0, 0], [0, 0, NAN, 0], [-INF, 0, 0, 0], [3e38, 0, 0, 0]]
)
def test_offsets_that_are_not_finite_or_overflow_decode_to_an_empty_box(run_graph, broken):
    zero = [0.0, 0.0, 0.0, 0.0]
    decoded = run_graph(boxes.decode, [broken, zero], [[2.0, 2, 20, 20]] * 2)
    assert decoded.tolist() == [[0, 0, 0, 0], [2, 2, 20, 20]]


@pytest.mark.parametrize("box", [[0.0, 0, 0, 0], [5.0, 5, 5, 9], [9.0, 9, 1, 1]])
def test_encode_is_finite_for_boxes_and_anchors_without_area(run_graph, box):
    ordinary = [0.0, 0.0, 10.0, 10.0]
    deltas = run_graph(boxes.encode, [box, ordinary, box], [ordinary, box, box])
    assert np.isfinite(deltas).all()
