"""Which detection found which object, picture by picture: what is missed, false or mistaken."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from mrc_train.data.coco import ImageRecord
from mrc_train.evaluation.detections import Detections
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

LEAST_IOU = 0.5
"""From here on a detection's box is that of an object, as for AP50."""

Labels = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Matching:
    """Labels (1..C) of one picture: of each found object (n,), the truth's and the detection's; of objects
    that nothing found; of detections where no object is.
    """

    truth: Labels
    detected: Labels
    missed: Labels
    false: Labels

    @property
    def mistaken(self) -> int:
        """Objects found as another class."""
        return int((self.truth != self.detected).sum())

    @property
    def errors(self) -> int:
        """Objects missed or mistaken, and detections of nothing."""
        return len(self.missed) + len(self.false) + self.mistaken

    def __str__(self) -> str:
        counts = {"missed": len(self.missed), "false": len(self.false), "mistaken": self.mistaken}
        return ", ".join(f"{count} {what}" for what, count in counts.items() if count) or "all found"


def match(found: Detections, record: ImageRecord) -> Matching:
    """Best detections first, each takes the free object that it overlaps most, of whatever class.

    A detection inside a crowd is neither right nor false, and a crowd is never missed.
    """
    overlaps = _overlaps(found.boxes, record.boxes, record.crowd)
    free = ~record.crowd
    pairs: list[tuple[int, int]] = []
    false = []
    for detection, row in enumerate(overlaps):
        best = int(np.argmax(np.where(free, row, -1))) if free.any() else -1
        if best >= 0 and row[best] >= LEAST_IOU:
            free[best] = False
            pairs.append((detection, best))
        elif not (row[record.crowd] >= LEAST_IOU).any():
            false.append(detection)
    detections, objects = np.array(pairs, int).reshape(-1, 2).T
    return Matching(
        truth=record.labels[objects],
        detected=found.labels[detections],
        missed=record.labels[free],
        false=found.labels[false],
    )


def confusion(matchings: Iterable[Matching], num_classes: int) -> NDArray[np.int64]:
    """Counts (C + 1, C + 1) for C classes: rows the truth, columns what was detected.

    The last column is what was missed, the last row what was detected where no object is.
    """
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    for matching in matchings:
        nothing = np.full(len(matching.false), num_classes + 1)
        missed = np.full(len(matching.missed), num_classes + 1)
        rows = np.concatenate([matching.truth, matching.missed, nothing])
        columns = np.concatenate([matching.detected, missed, matching.false])
        np.add.at(counts, (rows - 1, columns - 1), 1)
    return counts


def _overlaps(
    boxes: NDArray[np.float32], objects: NDArray[np.float32], crowd: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """IoU (n, m) of boxes x1, y1, x2, y2; with a crowd the share of the detection that lies in it."""
    if not len(boxes) or not len(objects):
        return np.zeros((len(boxes), len(objects)))
    sides = [
        np.hstack([each[:, :2], each[:, 2:] - each[:, :2]]).astype(np.float64) for each in (boxes, objects)
    ]
    return np.asarray(coco_mask.iou(*sides, crowd.astype(np.uint8)))
