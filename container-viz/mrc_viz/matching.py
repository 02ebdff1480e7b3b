"""Matches the detections of an image to its objects: what is missed, misclassified or a false positive."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from mrc_train.data.coco import ImageRecord
from mrc_train.evaluation.detections import Detections
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

MIN_IOU = 0.5
"""A detection matches an object whose box it overlaps with at least this IoU, as for AP50."""

Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Matching:
    """Labels (1..C) of the objects and detections of one image.

    Attributes:
        actual, predicted: of each matched pair, the object's and the detection's; both int32 (n,).
        missed: of objects without a detection.
        false_positives: of detections without an object.
    """

    actual: Labels
    predicted: Labels
    missed: Labels
    false_positives: Labels

    @property
    def misclassified(self) -> int:
        """Number of objects detected as another class."""
        return int((self.actual != self.predicted).sum())

    @property
    def errors(self) -> int:
        """Number of missed and misclassified objects and of false positives."""
        return len(self.missed) + len(self.false_positives) + self.misclassified

    def __str__(self) -> str:
        false_positives = len(self.false_positives)
        counts = {
            "missed": len(self.missed),
            "false positive" if false_positives == 1 else "false positives": false_positives,
            "misclassified": self.misclassified,
        }
        return ", ".join(f"{count} {kind}" for kind, count in counts.items() if count) or "no errors"


def match(detections: Detections, record: ImageRecord) -> Matching:
    """Assign each detection, best first, to the unmatched object it overlaps most, regardless of class.

    A detection inside a crowd is not counted, and a crowd is never missed.
    """
    overlaps = _overlaps(detections.boxes, record.boxes, record.crowd)
    unmatched = ~record.crowd
    pairs: list[tuple[int, int]] = []
    false_positives = []
    for index, row in enumerate(overlaps):
        best = int(np.argmax(np.where(unmatched, row, -1))) if unmatched.any() else -1
        if best >= 0 and row[best] >= MIN_IOU:
            unmatched[best] = False
            pairs.append((index, best))
        elif not (row[record.crowd] >= MIN_IOU).any():
            false_positives.append(index)
    detected, objects = np.array(pairs, int).reshape(-1, 2).T
    return Matching(
        actual=record.labels[objects],
        predicted=detections.labels[detected],
        missed=record.labels[unmatched],
        false_positives=detections.labels[false_positives],
    )


def confusion(matchings: Iterable[Matching], num_classes: int) -> NDArray[np.int64]:
    """Counts (C + 1, C + 1) for C classes: rows are actual classes, columns predicted ones.

    The last column counts missed objects, the last row false positives.
    """
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for matching in matchings:
        no_object = np.full(len(matching.false_positives), num_classes + 1)
        no_detection = np.full(len(matching.missed), num_classes + 1)
        rows = np.concatenate([matching.actual, matching.missed, no_object])
        columns = np.concatenate([matching.predicted, no_detection, matching.false_positives])
        np.add.at(counts, (rows - 1, columns - 1), 1)
    return counts


def _overlaps(
    boxes: NDArray[np.float32], objects: NDArray[np.float32], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """IoU (n, m) of boxes x1, y1, x2, y2; for a crowd, the share of the detection inside it."""
    if not len(boxes) or not len(objects):
        return np.zeros((len(boxes), len(objects)))
    corner_and_size = [
        np.hstack([corners[:, :2], corners[:, 2:] - corners[:, :2]]).astype(np.float64)
        for corners in (boxes, objects)
    ]
    return np.asarray(coco_mask.iou(*corner_and_size, crowd.astype(np.uint8)))
