"""Which detection finds which object, on boxes of 10 x 10 pixels whose overlaps are seen by eye."""

from pathlib import Path

import numpy as np
import pytest
from mrc_train.data.coco import ImageRecord
from mrc_train.evaluation.detections import Detections
from mrc_viz.matching import Matching, confusion, match

CUP, PAN = 1, 2


def box(left: float) -> list[float]:
    return [left, 0, left + 10, 10]


def truth(*objects: tuple[float, int], crowds: tuple[float, ...] = ()) -> ImageRecord:
    """Objects, their left edge and class; crowds, ten times as wide, are of cups."""
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


def found(*detections: tuple[float, int]) -> Detections:
    """Detections, best first: their left edge and class."""
    boxes = np.array([box(left) for left, _ in detections], np.float32).reshape(-1, 4)
    scores = np.linspace(0.9, 0.5, len(detections)).astype(np.float32)
    return Detections(boxes, scores, np.array([label for _, label in detections], np.int32))


@pytest.mark.parametrize(
    ("detections", "record", "expected"),
    [
        (found((0, CUP)), truth((0, CUP)), "all found"),
        (found((3, CUP)), truth((0, CUP)), "all found"),  # IoU 7/13
        (found((4, CUP)), truth((0, CUP)), "1 missed, 1 false"),  # IoU 6/14
        (found((0, PAN)), truth((0, CUP)), "1 mistaken"),
        (found((0, CUP), (1, CUP)), truth((0, CUP)), "1 false"),
        (found((1, CUP), (0, CUP)), truth((0, CUP), (2, CUP)), "all found"),
        (found(), truth((0, CUP), (20, PAN)), "2 missed"),
        (found((0, CUP), (20, PAN)), truth(), "2 false"),
        (found((20, CUP), (40, CUP)), truth(crowds=(0,)), "all found"),
        (found((150, CUP)), truth(crowds=(0,)), "1 false"),
        (found(), truth(), "all found"),
    ],
)
def test_each_object_is_found_once_by_the_best_detection_that_overlaps_it(
    detections: Detections, record: ImageRecord, expected: str
) -> None:
    assert str(match(detections, record)) == expected


def test_errors_are_counted_once_each() -> None:
    matching = match(found((0, PAN), (100, CUP)), truth((0, CUP), (200, CUP)))
    assert (matching.errors, matching.mistaken) == (3, 1)


def test_the_confusion_has_a_row_for_nothing_and_a_column_for_missed() -> None:
    matchings: list[Matching] = [
        match(found((0, PAN), (100, CUP)), truth((0, CUP), (200, PAN))),
        match(found((0, CUP)), truth((0, CUP))),
    ]
    assert confusion(matchings, 2).tolist() == [
        [1, 1, 0],
        [0, 0, 1],
        [1, 0, 0],
    ]
