"""Visualization of detections and ground truth: translucent masks, boxes and captions."""

import colorsys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord
from mrc_train.data.masks import Bitmap, resize_bitmap, segmentation_to_mask
from mrc_train.evaluation.detections import Detections

Image = NDArray[np.uint8]
"""BGR uint8 (height, width, 3)."""

MIN_EDGE = 480
"""Smaller images are enlarged by an integer factor to make room for captions, in pixels."""

MASK_OPACITY = 0.4
FONT = cv2.FONT_HERSHEY_SIMPLEX
BAND_COLOUR = (40, 40, 40)
WHITE = (255, 255, 255)
BLACK = (0, 0, 0)

Rectangle = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class DrawnObject:
    """One object to draw.

    box: float32 (4,) in pixels; label: selects the colour; mask: returns the bitmap of the image's size, or
    None. It is called once, so that only one bitmap is in memory at a time: 100 of 24 megapixels are 2.4 GB.
    """

    box: NDArray[np.float32]
    label: int
    caption: str
    mask: Callable[[], Bitmap | None]


def class_colour(label: int) -> tuple[int, int, int]:
    """BGR colour of a class. Hues advance by the golden ratio, so that neighbouring labels differ clearly."""
    red, green, blue = colorsys.hsv_to_rgb((0.58 + (label - 1) * 0.618034) % 1, 0.75, 1)
    return round(255 * blue), round(255 * green), round(255 * red)


def draw_detections(image: Image, detections: Detections, categories: Categories, threshold: float) -> Image:
    """The image with the detections that score at least ``threshold``; small images are enlarged."""
    height, width = image.shape[:2]
    shown = detections.above(threshold)
    objects = [
        DrawnObject(
            box,
            label,
            f"{categories.name_of(label)} {score:.2f}",
            partial(shown.bitmap, index, height, width),
        )
        for index, (box, label, score) in enumerate(zip(shown.boxes, shown.labels, shown.scores, strict=True))
    ]
    return draw_objects(image, objects)


def draw_ground_truth(image: Image, record: ImageRecord, categories: Categories) -> Image:
    """The image with its annotated objects, crowds marked in the caption; small images are enlarged."""
    objects = [
        DrawnObject(
            box,
            label,
            f"{categories.name_of(label)}{' (crowd)' if record.crowd[index] else ''}",
            partial(_annotated_mask, record, index),
        )
        for index, (box, label) in enumerate(zip(record.boxes, record.labels, strict=True))
    ]
    return draw_objects(image, objects)


def _annotated_mask(record: ImageRecord, index: int) -> Bitmap | None:
    if not record.segmentations:
        return None
    return segmentation_to_mask(record.segmentations[index], record.height, record.width)


def detections_beside_ground_truth(
    image: Image, detections: Detections, record: ImageRecord, categories: Categories, threshold: float
) -> Image:
    """Detections that score at least ``threshold`` on the left, ground truth on the right, with headings."""
    count = len(detections.above(threshold))
    return side_by_side(
        [
            (f"detections: {count}", draw_detections(image, detections, categories, threshold)),
            (f"ground truth: {len(record.boxes)}", draw_ground_truth(image, record, categories)),
        ]
    )


def side_by_side(panels: Sequence[tuple[str, Image]]) -> Image:
    """Images of the same height in a row, each under its heading."""
    return grid([_with_heading(heading, image) for heading, image in panels], columns=len(panels))


def grid(images: Sequence[Image], columns: int) -> Image:
    """Images in rows of ``columns`` with gaps; smaller images are centred in their cell."""
    gap = 8
    cell_height = max(image.shape[0] for image in images) + gap
    cell_width = max(image.shape[1] for image in images) + gap
    rows = -(-len(images) // columns)
    sheet = np.full((rows * cell_height - gap, columns * cell_width - gap, 3), 255, np.uint8)
    for index, image in enumerate(images):
        height, width = image.shape[:2]
        top = index // columns * cell_height + (cell_height - gap - height) // 2
        left = index % columns * cell_width + (cell_width - gap - width) // 2
        sheet[top : top + height, left : left + width] = image
    return sheet


def draw_objects(image: Image, objects: Sequence[DrawnObject]) -> Image:
    """A copy of the image with the objects drawn on it, the first on top; small images are enlarged."""
    factor = max(1, -(-MIN_EDGE // max(image.shape[:2])))
    height, width = image.shape[0] * factor, image.shape[1] * factor
    canvas = np.array(cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)
    line = max(2, round(min(height, width) / 400))
    for drawn in reversed(objects):
        mask = drawn.mask()
        if mask is not None:
            _draw_mask(canvas, resize_bitmap(mask, height, width), class_colour(drawn.label), line)
    for drawn in reversed(objects):
        x1, y1, x2, y2 = _pixels(drawn.box * factor)
        for colour, thickness in _outlined(class_colour(drawn.label), line):
            cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thickness, cv2.LINE_AA)
    occupied: list[Rectangle] = []
    for drawn in objects:
        _draw_caption(canvas, drawn.caption, _pixels(drawn.box * factor), class_colour(drawn.label), occupied)
    return canvas


def _pixels(box: NDArray[np.float32]) -> Rectangle:
    x1, y1, x2, y2 = (round(float(value)) for value in box)
    return x1, y1, x2, y2


def _draw_mask(canvas: Image, mask: Bitmap, colour: tuple[int, int, int], line: int) -> None:
    left, top, width, height = cv2.boundingRect(mask)
    if not width:
        return
    region = slice(top, top + height), slice(left, left + width)
    part, inside = canvas[region].copy(), mask[region].copy()
    tinted = cv2.addWeighted(part, 1 - MASK_OPACITY, np.full_like(part, colour), MASK_OPACITY, 0)
    canvas[region] = cv2.copyTo(tinted, inside, part)
    contours, _ = cv2.findContours(inside, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=(left, top))
    for stroke, thickness in _outlined(colour, line):
        cv2.drawContours(canvas, contours, -1, stroke, thickness, cv2.LINE_AA)


def _outlined(colour: tuple[int, int, int], line: int) -> Iterator[tuple[tuple[int, int, int], int]]:
    """Colour and thickness of the strokes to draw, in order: a dark outline, then the line itself."""
    yield BLACK, line + 2
    yield colour, line


def _draw_caption(
    canvas: Image, caption: str, box: Rectangle, colour: tuple[int, int, int], occupied: list[Rectangle]
) -> None:
    """Write on a filled rectangle above, below or inside the box, where it overlaps other captions least."""
    size = _font_size(canvas)
    text = _ascii(caption)
    (text_width, text_height), below_line = cv2.getTextSize(text, FONT, size, 1)
    margin = max(2, text_height // 4)
    width, height = text_width + 2 * margin, text_height + below_line + 2 * margin
    x1, y1, x2, y2 = box
    corners = [(x1, y1 - height), (x1, y2), (x1, y1), (x2 - width, y1 - height), (x2 - width, y2)]
    places = [_clamped(x, y, width, height, canvas) for x, y in corners]
    place = min(places, key=lambda candidate: sum(_overlap(candidate, other) for other in occupied))
    occupied.append(place)
    left, top, right, bottom = place
    cv2.rectangle(canvas, (left, top), (right, bottom), colour, cv2.FILLED)
    baseline = (left + margin, top + margin + text_height)
    cv2.putText(canvas, text, baseline, FONT, size, _readable_on(colour), 1, cv2.LINE_AA)


def _font_size(canvas: Image) -> float:
    longest: int = max(canvas.shape[:2])
    return max(0.45, longest / 1600)


def _ascii(text: str) -> str:
    """Replace all but ASCII characters, which are the only ones in OpenCV's fonts, by question marks."""
    return text.encode("ascii", "replace").decode()


def _clamped(x: int, y: int, width: int, height: int, canvas: Image) -> Rectangle:
    left = max(0, min(x, canvas.shape[1] - width))
    top = max(0, min(y, canvas.shape[0] - height))
    return left, top, left + width, top + height


def _overlap(one: Rectangle, other: Rectangle) -> int:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(width, 0) * max(height, 0)


def _readable_on(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    blue, green, red = colour
    return BLACK if 0.114 * blue + 0.587 * green + 0.299 * red > 140 else WHITE


def _with_heading(heading: str, image: Image) -> Image:
    size = _font_size(image) * 1.2
    (_, text_height), below_line = cv2.getTextSize(heading, FONT, size, 1)
    band = np.full((text_height + below_line + 16, image.shape[1], 3), BAND_COLOUR, np.uint8)
    cv2.putText(band, _ascii(heading), (8, 8 + text_height), FONT, size, WHITE, 1, cv2.LINE_AA)
    return cast(Image, np.vstack([band, image]))
