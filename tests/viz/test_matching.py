"""Matching of detections to objects, on boxes of 10 x 10 pixels whose overlaps are easy to see."""

from pathlib import Path

import numpy as np
import pytest
from mrc_train.data.coco import ImageRecord
from mrc_train.evaluation.detections import Detections
from mrc_viz.matching import Matching, confusion, match

CUP, PAN = 1, 2


def box(left: float) -> list[float]:
    return [left, 0, left + 10, 10]


def ground_truth(*objects: tuple[float, int], crowds: tuple[float, ...] = ()) -> ImageRecord:
    """Objects by left edge and class; crowds are of cups and ten times as wide."""
    boxes = [*(box(left) for left, _ in objects), *([left, 0, left + 100, 10] for left in crowds)]
    labels = [*(label for _, label in objects), *(CUP for _ in crowds)]
    return ImageRecord(
        1,
        Path("none.png"),
        10,
        400,
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int32),
        np.array([False] * len(objects) + [True] * len(crowds), bool),
        [],
    )


def detected(*detections: tuple[float, int]) -> Detections:
    """Detections by left edge and class, best first."""
    boxes = np.array([box(left) for left, _ in detections], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(detections)).astype(np.float32)
    return Detections(boxes, scores, np.array([label for _, label in detections], np.int32))


@pytest.mark.parametrize(
    ("detections", "record", "expected"),
    [
        (detected((0, CUP)), ground_truth((0, CUP)), "no errors"),
        (detected((3, CUP)), ground_truth((0, CUP)), "no errors"),  # IoU 7/13
        (detected((4, CUP)), ground_truth((0, CUP)), "1 missed, 1 false positive"),  # IoU 6/14
        (detected((0, PAN)), ground_truth((0, CUP)), "1 misclassified"),
        (detected((0, CUP), (1, CUP)), ground_truth((0, CUP)), "1 false positive"),
        (detected((1, CUP), (0, CUP)), ground_truth((0, CUP), (2, CUP)), "no errors"),
        (detected(), ground_truth((0, CUP), (20, PAN)), "2 missed"),
        (detected((0, CUP), (20, PAN)), ground_truth(), "2 false positives"),
        (detected((20, CUP), (40, CUP)), ground_truth(crowds=(0,)), "no errors"),
        (detected((150, CUP)), ground_truth(crowds=(0,)), "1 false positive"),
        (detected(), ground_truth(), "no errors"),
    ],
)
def test_each_object_is_matched_once_by_the_best_detection_that_overlaps_it(
    detections: Detections, record: ImageRecord, expected: str
) -> None:
    assert str(match(detections, record)) == expected


def test_each_error_is_counted_once() -> None:
    matching = match(detected((0, PAN), (100, CUP)), ground_truth((0, CUP), (200, CUP)))
    assert (matching.errors, matching.misclassified) == (3, 1)


def test_the_confusion_matrix_has_a_row_for_no_object_and_a_column_for_missed() -> None:
    matchings: list[Matching] = [
        match(detected((0, PAN), (100, CUP)), ground_truth((0, CUP), (200, PAN))),
        match(detected((0, CUP)), ground_truth((0, CUP))),
    ]
    assert confusion(matchings, 2).tolist() == [
        [1, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
    ]
