import math

import numpy as np
import pytest
from mrc_train.ops import nms
from slow_references import iou

NAN, INF = math.nan, math.inf


def greedy(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """Indices kept by a plain implementation of greedy NMS, best score first."""
    kept: list[int] = []
    for index in np.argsort(-scores):
        if (iou(boxes[index], boxes[kept]) <= threshold).all():
            kept.append(int(index))
    return kept


@pytest.fixture
def one_class(run_graph):
    """The boxes that NMS keeps in one image with one class."""

    def run(boxes, scores, iou_threshold=0.5, limit=10, score_threshold=-INF):
        kept, _, _, count = run_graph(
            lambda b, s: nms.batched_nms(b, s, iou_threshold, limit, limit, score_threshold),
            np.float32([boxes]),
            np.float32(scores)[None, :, None],
        )
        return kept[0, : count[0]].tolist()

    return run


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
def test_nms_of_a_thousand_boxes_in_ten_images_equals_plain_greedy_nms(run_graph, threshold):
    random = np.random.default_rng(0)
    corner = random.uniform(0, 100, (10, 1000, 2))
    boxes = np.concatenate([corner, corner + random.uniform(10, 110, (10, 1000, 2))], -1).astype(np.float32)
    scores = random.permuted(np.linspace(0.01, 1, 1000, dtype=np.float32)[None].repeat(10, 0), axis=1)
    kept, kept_scores, _, count = run_graph(
        lambda b, s: nms.batched_nms(b, s, threshold, 1000, 1000), boxes, scores[..., None]
    )
    for image in range(10):
        expected = greedy(boxes[image].astype(float), scores[image], threshold)
        assert count[image] == len(expected)
        assert np.array_equal(kept[image, : count[image]], boxes[image][expected])
        assert np.array_equal(kept_scores[image, : count[image]], scores[image][expected])
        assert not kept[image, count[image] :].any()


@pytest.mark.parametrize(
    ("height", "overlap"), [(2, 0.2), (5, 0.5), (8, 0.8)], ids=["IoU 0.2", "IoU 0.5", "IoU 0.8"]
)
def test_a_box_exactly_at_the_threshold_is_kept(one_class, height, overlap):
    pair = [[0, 0, 10, 10], [0, 0, 10, height]]
    assert one_class(pair, [0.9, 0.8], iou_threshold=overlap) == pair
    assert one_class(pair, [0.9, 0.8], iou_threshold=overlap - 1e-3) == pair[:1]


def test_one_of_several_identical_boxes_is_kept(one_class):
    assert one_class([[0, 0, 4, 4]] * 3, [0.5] * 3) == [[0, 0, 4, 4]]


def test_disjoint_boxes_with_equal_scores_are_all_kept(one_class):
    disjoint = [[0, 0, 4, 4], [10, 10, 14, 14]]
    assert sorted(one_class(disjoint, [0.5, 0.5])) == disjoint


def test_boxes_without_area_suppress_nothing(one_class):
    boxes = [[0, 0, 10, 10], [5, 5, 5, 5], [5, 5, 5, 5]]
    assert one_class(boxes, [0.9, 0.8, 0.7]) == boxes


def test_boxes_are_not_clipped(one_class):
    boxes = [[-50, -60, 700, 800]]
    assert one_class(boxes, [0.9]) == boxes


def test_the_score_must_be_above_its_threshold(one_class):
    boxes = [[0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5]]
    assert one_class(boxes, [0.75, 0.5, 0.25], score_threshold=0.5) == boxes[:1]


@pytest.mark.parametrize(
    ("box", "score"),
    [([NAN, 0, 1, 1], 0.9), ([0, 0, INF, 1], 0.9), ([0, 0, 9, 9], NAN), ([0, 0, 9, 9], -INF)],
    ids=["NaN box", "infinite box", "NaN score", "score of padding"],
)
def test_a_broken_box_or_score_is_left_out(one_class, box, score):
    intact = [0, 0, 8, 8]
    assert one_class([box, intact, box], [score, 0.1, score]) == [intact]


def test_without_boxes_the_result_is_all_padding(run_graph):
    kept, scores, classes, count = run_graph(
        lambda b, s: nms.batched_nms(b, s, 0.5, 5, 7), np.zeros((2, 0, 4)), np.zeros((2, 0, 3))
    )
    assert (kept.shape, scores.shape, classes.shape, count.tolist()) == ((2, 7, 4), (2, 7), (2, 7), [0, 0])


def test_classes_do_not_suppress_each_other(run_graph):
    boxes = np.float32([[[0, 0, 10, 10], [0, 0, 10, 9]]])
    scores = np.float32([[[0.9, 0.3], [0.8, 0.4]]])
    kept, kept_scores, classes, count = run_graph(
        lambda b, s: nms.batched_nms(b, s, 0.5, 5, 5), boxes, scores
    )
    assert count.tolist() == [2]
    assert kept[0, :2].tolist() == [[0, 0, 10, 10], [0, 0, 10, 9]]
    np.testing.assert_allclose(kept_scores[0, :2], [0.9, 0.4])
    assert classes[0, :2].tolist() == [0, 1]
    assert classes.dtype == np.int32


def test_classes_may_have_different_boxes(run_graph):
    boxes = np.float32([[[[0, 0, 10, 10], [50, 50, 60, 60]]]])
    kept, _, classes, _ = run_graph(
        lambda b, s: nms.batched_nms(b, s, 0.5, 5, 2), boxes, np.float32([[[0.1, 0.9]]])
    )
    assert kept[0].tolist() == [[50, 50, 60, 60], [0, 0, 10, 10]]
    assert classes[0].tolist() == [1, 0]


def test_boxes_are_limited_per_class_and_per_image(run_graph):
    corner = np.arange(10.0)[:, None] * 20
    boxes = np.concatenate([corner, corner, corner + 9, corner + 9], axis=1)[None]
    scores = np.stack([np.linspace(0.9, 0.8, 10), np.linspace(0.5, 0.4, 10)], axis=1)[None]
    _, _, classes, count = run_graph(lambda b, s: nms.batched_nms(b, s, 0.5, 3, 5), boxes, scores)
    assert count.tolist() == [5]
    assert classes.tolist() == [[0, 0, 0, 1, 1]]
