import numpy as np
import pytest
from mrc_train.ops import matcher
from mrc_train.ops.matcher import BACKGROUND, FOREGROUND, IGNORE


@pytest.fixture
def match(run_graph):
    """Matches the boxes of one image; rows of ``iou`` are ground-truth boxes, as in Detectron2's tests."""

    def run(iou, valid=None, low=0.3, high=0.7, keep_best_per_gt=True):
        by_box = np.asarray(iou, np.float32).T[None]
        valid = np.ones(len(iou), bool) if valid is None else np.asarray(valid)
        index, labels = run_graph(
            lambda i, v: matcher.match(i, v, low, high, keep_best_per_gt), by_box, valid[None]
        )
        return index[0].tolist(), labels[0].tolist()

    return run


# Detectron2, tests/modeling/test_matcher.py.
DETECTRON2 = [[0.15, 0.45, 0.2, 0.6], [0.3, 0.65, 0.05, 0.1], [0.05, 0.4, 0.25, 0.4]]


def test_matches_and_labels_equal_those_of_detectron2(match):
    assert match(DETECTRON2) == ([1, 1, 2, 0], [-1, 1, 0, 1])


def test_without_keep_best_per_gt_only_the_thresholds_decide(match):
    assert match(DETECTRON2, keep_best_per_gt=False) == ([1, 1, 2, 0], [-1, -1, 0, -1])


@pytest.mark.parametrize(
    ("iou", "label"),
    [
        (0.69, IGNORE),
        (0.75, FOREGROUND),
        (0.8, FOREGROUND),
        (0.25, IGNORE),
        (0.24, BACKGROUND),
        (0, BACKGROUND),
    ],
)
def test_a_box_exactly_at_a_threshold_counts_as_above_it(match, iou, label):
    assert match([[iou]], low=0.25, high=0.75, keep_best_per_gt=False) == ([0], [label])


def test_the_best_box_of_an_object_is_foreground_even_below_the_low_threshold(match):
    assert match([[0.05, 0.2, 0.1]]) == ([0, 0, 0], [BACKGROUND, FOREGROUND, BACKGROUND])


def test_boxes_that_share_the_best_overlap_are_all_foreground(match):
    assert match([[0.2, 0.2, 0.1]])[1] == [FOREGROUND, FOREGROUND, BACKGROUND]


def test_an_object_without_overlapping_boxes_makes_no_box_foreground(match):
    assert match([[0.0, 0.0, 0.0], [0.8, 0.1, 0.0]])[1] == [FOREGROUND, BACKGROUND, BACKGROUND]


def test_the_best_box_of_one_object_is_still_matched_to_the_object_that_it_overlaps_most(match):
    assert match([[0.4, 0.1], [0.6, 0.9]]) == ([1, 1], [FOREGROUND, FOREGROUND])


def test_padding_is_never_matched(match):
    assert match([[0.2, 0.8], [0.9, 0.9]], valid=[True, False]) == ([0, 0], [BACKGROUND, FOREGROUND])


def test_all_boxes_of_an_image_without_objects_are_background(match):
    assert match([[0.9, 0.5], [0.8, 0.1]], valid=[False, False]) == ([0, 0], [BACKGROUND, BACKGROUND])


def test_images_of_a_batch_are_matched_independently(run_graph):
    iou = np.float32([[[0.9], [0.2]], [[0.1], [0.2]]])
    _, labels = run_graph(lambda i, v: matcher.match(i, v, 0.3, 0.7, True), iou, np.ones((2, 1), bool))
    assert labels.tolist() == [[FOREGROUND, BACKGROUND], [BACKGROUND, FOREGROUND]]
