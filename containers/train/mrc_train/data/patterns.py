"""Doubtful patterns in boxes and masks: each is named once, with its count and its likely cause."""

from dataclasses import dataclass

import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

from mrc_train.data.masks import Segmentation
from mrc_train.data.problems import DataError, Problem

TOLERANCE_PIXELS = 2.0
TOLERANCE_SHARE = 0.15
"""Of the box's width or height. An edge of a box may be farther from its mask's edge than neither of them."""

MAX_SHARE_OUTSIDE = 0.05
"""Of a box's area: annotation tools let boxes reach a little out of the image."""

MIN_SIDE = 2.0
"""In pixels: smaller objects cannot be learned."""

MOST = 0.8
"""The share of the doubtful objects that a cause must explain in order to be named."""

Corners = NDArray[np.float64]
"""(n, 4) x1, y1, x2, y2 in pixels."""


@dataclass(frozen=True, eq=False)
class Geometry:
    """n objects as annotated, all with finite boxes.

    indices: (n,) in the list of annotations; boxes: (n, 4) x, y, width, height; sizes: (n, 2) width and
    height of the image; bounds: (n, 4) x1, y1, x2, y2 of the mask, NaN where an object has none.
    """

    indices: NDArray[np.int64]
    boxes: NDArray[np.float64]
    sizes: NDArray[np.float64]
    bounds: Corners

    @property
    def corners(self) -> Corners:
        """The boxes as they are read."""
        return np.concatenate([self.boxes[:, :2], self.boxes[:, :2] + self.boxes[:, 2:]], axis=1)

    def clipped(self, corners: Corners) -> Corners:
        """The parts inside the images."""
        return np.clip(corners, 0, np.tile(self.sizes, 2))


def mask_bounds(segmentation: Segmentation | None) -> tuple[float, float, float, float]:
    """x1, y1, x2, y2 of a segmentation in pixels, NaN without one."""
    if segmentation is None:
        return (float("nan"),) * 4
    if isinstance(segmentation, list):
        points = np.concatenate(segmentation).reshape(-1, 2)
        return (*points.min(axis=0).tolist(), *points.max(axis=0).tolist())
    x, y, w, h = pycocotools.mask.toBbox(segmentation).tolist()
    return x, y, x + w, y + h


def find_patterns(geometry: Geometry) -> list[Problem]:
    """The patterns in the objects of one annotation file.

    Raises:
        DataError: when all boxes are within the first pixel of their image: nothing can be learned.
    """
    if not len(geometry.indices):
        return []
    larger = geometry.sizes.max() > 1  # in an image of one pixel, a box from 0 to 1 is right
    if larger and geometry.corners.max() <= 1 and geometry.boxes[:, 2:].min() > 0:
        raise DataError(
            f"all {len(geometry.indices)} boxes are between 0 and 1, expected pixels; multiply x by the "
            "image's width and y by its height",
            "MRD024",
            _path(geometry, np.ones(len(geometry.indices), bool), "bbox"),
        )
    mismatch = _boxes_beside_masks(geometry)
    problems = [mismatch, _small_boxes(geometry)]
    if mismatch is None or mismatch.fix != _CORNERS_FIX:
        problems.append(_boxes_out_of_images(geometry))
    return [problem for problem in problems if problem]


_CORNERS_FIX = "Write bbox as [x, y, width, height]: these fit as [x1, y1, x2, y2]."


def _boxes_beside_masks(geometry: Geometry) -> Problem | None:
    box, bounds = geometry.clipped(geometry.corners), geometry.clipped(geometry.bounds)
    # A box without any area inside the image is left out, and counted there.
    wrong = ~_near(box, bounds) & ~np.isnan(bounds).any(axis=1) & (_area(box) > 0)
    if not wrong.any():
        return None
    as_corners = geometry.clipped(geometry.boxes)
    overlap = np.minimum(box[:, 2:], bounds[:, 2:]) - np.maximum(box[:, :2], bounds[:, :2])
    apart = np.asarray((overlap <= 0).any(axis=1))
    if _near(as_corners, bounds)[wrong].mean() >= MOST:
        fix = _CORNERS_FIX
    elif _near(_from_centre(geometry.boxes), geometry.bounds)[wrong].mean() >= MOST:
        fix = "Write bbox as [x, y, width, height]: these fit as [centre x, centre y, width, height]."
    elif apart[wrong].mean() >= MOST:
        fix = "These masks are outside their boxes: they belong to another object or another image."
    else:
        fix = "Compute bbox from the segmentation, or look at some of them with mrc-data check --sheet."
    return Problem(
        "MRD022",
        _path(geometry, wrong, "bbox"),
        f"{_count(geometry, wrong)} are not the box of their mask.",
        fix,
    )


def _near(box: Corners, bounds: Corners) -> NDArray[np.bool_]:
    """(n,): whether each edge of a box is near that of its mask."""
    sides = np.tile(bounds[:, 2:] - bounds[:, :2], 2)
    return np.asarray(
        (np.abs(box - bounds) <= np.maximum(TOLERANCE_PIXELS, TOLERANCE_SHARE * sides)).all(axis=1)
    )


def _from_centre(boxes: NDArray[np.float64]) -> Corners:
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, :2] + boxes[:, 2:] / 2], axis=1)


def _boxes_out_of_images(geometry: Geometry) -> Problem | None:
    corners = geometry.corners
    inside = geometry.clipped(corners)
    area, area_inside = _area(corners), _area(inside)
    reaches_out = (np.abs(corners - inside) > TOLERANCE_PIXELS).any(axis=1) & (area > 0)
    out = reaches_out & (area_inside < (1 - MAX_SHARE_OUTSIDE) * area)
    # A box without any area inside the image is left out, and counted there.
    counted = out & (area_inside > 0)
    if not counted.any():
        return None
    boxes, sizes = geometry.boxes, geometry.sizes
    turned = np.asarray(((corners[:, :2] >= 0) & (corners[:, 2:] <= sizes[:, ::-1])).all(axis=1))
    are_corners = ((boxes[:, 2:] > boxes[:, :2]) & (boxes[:, 2:] <= sizes)).all(axis=1)
    if turned[out].mean() >= MOST:
        fix = (
            "These fit when the image is turned by 90 degrees: they follow the EXIF rotation, and width and "
            "height do not. Write width and height of the rotated image."
        )
    elif len(boxes) > 1 and are_corners.all():
        fix = _CORNERS_FIX
    else:
        fix = "Check that the image was not resized, cropped or exchanged after it was annotated."
    return Problem(
        "MRD023",
        _path(geometry, counted, "bbox"),
        f"{_count(geometry, counted)} reach out of their image.",
        fix,
    )


def _small_boxes(geometry: Geometry) -> Problem | None:
    sides = geometry.boxes[:, 2:]
    small = np.asarray((sides < MIN_SIDE).any(axis=1) & (sides > 0).all(axis=1))
    if small.mean() < MOST:
        return None
    return Problem(
        "MRD024",
        _path(geometry, small, "bbox"),
        f"{_count(geometry, small)} are less than {MIN_SIDE:.0f} pixels wide or high.",
        "Write coordinates in pixels of the annotated size.",
    )


def _area(corners: Corners) -> NDArray[np.float64]:
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 0)
    return np.asarray(sides[:, 0] * sides[:, 1])


def _count(geometry: Geometry, chosen: NDArray[np.bool_]) -> str:
    return f"{chosen.sum()} of {len(chosen)} boxes"


def _path(geometry: Geometry, chosen: NDArray[np.bool_], key: str) -> tuple[str | int, ...]:
    return "annotations", int(geometry.indices[np.argmax(chosen)]), key
