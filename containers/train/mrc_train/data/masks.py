"""Object masks: COCO segmentations to bitmaps and back, and pasting of the mask head's output.

A mask has three forms: a *segmentation* is stored in a COCO file (polygons or run lengths), a *bitmap* is
uint8 (height, width) of 0 and 1, and a *soft mask* is float32 (m, m) in 0..1 over the object's box.
Coordinates are continuous: the pixel in row i and column j is the square [j, j+1] x [i, i+1] with its centre
at (j + 0.5, i + 0.5).
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict, cast

import cv2
import numpy as np
import pycocotools.mask
from numpy.typing import NDArray

Bitmap = NDArray[np.uint8]
Polygons = list[NDArray[np.float64]]

MAX_REACH = 10
"""In units of height + width: a polygon with a point farther out is unusable, since pycocotools needs memory
in proportion to the distance."""


class Rle(TypedDict):
    """COCO's compressed run lengths; ``counts`` is a str, not bytes, so that JSON can hold it."""

    size: list[int]
    counts: str


Segmentation = Polygons | Rle


def clean_segmentation(raw: Any, height: int, width: int) -> Segmentation | None:
    """The usable part of an annotation's ``segmentation`` in an image of the given size.

    Polygons of fewer than three points or with points farther out than MAX_REACH are left out. Run lengths,
    plain or compressed, must add up to the image exactly, since pycocotools reads beyond them otherwise.
    Returns None when nothing usable is left.
    """
    if isinstance(raw, list):
        return list(_usable_polygons(raw, height, width)) or None
    if isinstance(raw, dict):
        return _usable_rle(raw, height, width)
    return None


def defect_of(raw: Any, height: int, width: int) -> str:
    """Why a ``segmentation`` is not usable in an image of the given size, in a few words."""
    if raw is None or raw == [] or raw == {}:
        return "missing"
    if isinstance(raw, dict):
        size = raw.get("size")
        if isinstance(size, list) and size != [height, width]:
            return "run lengths of another image size"
        return "invalid run lengths" if _usable_rle(raw, height, width) is None else "without a pixel"
    if not isinstance(raw, list):
        return "neither polygons nor run lengths"
    if all(isinstance(number, (int, float)) for number in raw):
        return "a flat list of numbers in place of a list of polygons"
    return (
        "without a pixel in the image" if list(_usable_polygons(raw, height, width)) else "invalid polygons"
    )


def _usable_polygons(raw: list[Any], height: int, width: int) -> Iterator[NDArray[np.float64]]:
    max_coordinate = MAX_REACH * (height + width)
    for candidate in raw:
        try:
            polygon = np.asarray(candidate, np.float64)
        except (TypeError, ValueError, OverflowError):
            continue
        # This form of the comparison rejects NaN and infinity as well.
        if (
            polygon.ndim == 1
            and polygon.size >= 6
            and polygon.size % 2 == 0
            and np.abs(polygon).max() <= max_coordinate
        ):
            yield polygon


def _usable_rle(raw: dict[str, Any], height: int, width: int) -> Rle | None:
    counts = raw.get("counts")
    if raw.get("size") != [height, width] or not isinstance(counts, (str, list)):
        return None
    if isinstance(counts, str) and not counts.isascii():
        return None
    try:
        runs = list(_run_lengths(counts)) if isinstance(counts, str) else [int(run) for run in counts]
    except (TypeError, ValueError, OverflowError, IndexError):
        return None
    if min(runs, default=-1) < 0 or sum(runs) != height * width:
        return None
    if isinstance(counts, str):
        return {"size": [height, width], "counts": counts}
    return _with_str_counts(
        pycocotools.mask.frPyObjects({"size": [height, width], "counts": runs}, height, width)
    )


def _run_lengths(counts: str) -> Iterator[int]:
    """Decode a compressed COCO string (rleToString in COCO's maskApi.c).

    A character has 5 bits of a value, low bits first. From the fourth run on, the value is the difference
    from the run two before.
    """
    runs: list[int] = []
    position = 0
    while position < len(counts):
        value, shift, more = 0, 0, True
        while more:
            bits = ord(counts[position]) - 48
            value |= (bits & 0x1F) << shift
            more = bool(bits & 0x20)
            position += 1
            shift += 5
            if shift > 60:
                raise ValueError("a run of more than 60 bits")
            if not more and bits & 0x10:
                value |= -1 << shift
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
        yield value


def _with_str_counts(rle: dict[str, Any]) -> Rle:
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")}


def polygons_to_mask(polygons: Sequence[NDArray[np.float64]], height: int, width: int) -> Bitmap:
    """Union of polygons, each (x0, y0, x1, y1, ...) in pixels, rasterised as pycocotools does."""
    rles = pycocotools.mask.frPyObjects(list(polygons), height, width)
    rle = pycocotools.mask.merge(rles) if len(rles) > 1 else rles[0]
    return cast(Bitmap, pycocotools.mask.decode(rle))


def segmentation_to_mask(segmentation: Segmentation, height: int, width: int) -> Bitmap:
    """Bitmap of a segmentation from ``clean_segmentation``."""
    if isinstance(segmentation, list):
        return polygons_to_mask(segmentation, height, width)
    return decode_rle(segmentation)


def has_pixels(segmentation: Segmentation, height: int, width: int) -> bool:
    """Whether the bitmap of a segmentation from ``clean_segmentation`` has at least one set pixel."""
    if isinstance(segmentation, list):
        if any(_is_thick_inside(polygon.reshape(-1, 2), height, width) for polygon in segmentation):
            return True
        return bool(polygons_to_mask(segmentation, height, width).any())
    return bool(pycocotools.mask.area(segmentation))


def _is_thick_inside(points: NDArray[np.float64], height: int, width: int) -> bool:
    """Whether a polygon is inside the image and at least 2 pixels thick on average.

    Such a polygon covers a pixel, so that it need not be rasterised to find out.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    if low.min() < 0 or high[0] > width or high[1] > height:
        return False
    x, y = points.T
    area = abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2
    return area >= 2 * float((high - low).max())


def encode_rle(bitmap: NDArray[np.generic]) -> Rle:
    """Run lengths of a (height, width) bitmap; any value other than 0 counts as 1."""
    return _with_str_counts(pycocotools.mask.encode(np.asfortranarray(bitmap != 0, np.uint8)))


def decode_rle(rle: Rle) -> Bitmap:
    """Bitmap of compressed run lengths."""
    return cast(Bitmap, pycocotools.mask.decode(rle))


def paste_mask(
    mask: NDArray[np.float32], box: NDArray[np.float32], height: int, width: int, threshold: float = 0.5
) -> Bitmap:
    """Stretch a soft mask over its box in an otherwise empty image.

    mask: (m, m) in 0..1; box: (x1, y1, x2, y2) in pixels, may extend beyond the image.
    A pixel is set if the mask's value at the pixel's centre is at least ``threshold``. Values are
    interpolated bilinearly between the centres of the mask's cells and fade to 0 beyond the outer ones, as in
    detectron2's paste_masks_in_image (grid_sample with align_corners=False and zero padding).
    """
    bitmap = np.zeros((height, width), np.uint8)
    x1, y1, x2, y2 = (float(value) for value in box)
    left, right = max(int(np.floor(x1)), 0), min(int(np.ceil(x2)), width)
    top, bottom = max(int(np.floor(y1)), 0), min(int(np.ceil(y2)), height)
    if left >= right or top >= bottom or x2 <= x1 or y2 <= y1:
        return bitmap
    rows, columns = mask.shape
    x = (np.arange(left, right) + 0.5 - x1) / (x2 - x1) * columns - 0.5
    y = (np.arange(top, bottom) + 0.5 - y1) / (y2 - y1) * rows - 0.5
    # Bilinear sampling is separable. Matrix products would wake a BLAS thread on every core for each mask.
    values = _interpolated(_interpolated(mask.astype(np.float32), y).T, x).T
    bitmap[top:bottom, left:right] = values >= threshold
    return bitmap


def _interpolated(rows: NDArray[np.float32], positions: NDArray[np.float64]) -> NDArray[np.float32]:
    """Rows (m, k) interpolated linearly at n positions, fading to 0 beyond the outer rows: (n, k)."""
    padded = np.pad(rows, ((1, 2), (0, 0)))
    positions = positions.clip(-1, len(rows))
    before = np.floor(positions).astype(np.int64)
    fraction = (positions - before).astype(np.float32)[:, None]
    return padded[before + 1] * (1 - fraction) + padded[before + 2] * fraction


def resize_bitmap(bitmap: Bitmap, height: int, width: int) -> Bitmap:
    """Bitmap at another size; a pixel is set if its bilinear value is at least one half."""
    if bitmap.shape == (height, width):
        return bitmap
    gray = cv2.resize(np.ascontiguousarray(bitmap) * np.uint8(255), (width, height))
    return (gray >= 128).astype(np.uint8)
