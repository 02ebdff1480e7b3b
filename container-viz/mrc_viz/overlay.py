"""Images for a web page: the drawing under an SVG element for each box, whose tooltip is its caption."""

import base64
import html
from collections.abc import Sequence

import cv2
import numpy as np
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord
from mrc_train.drawing import Image, draw_detections, draw_ground_truth
from mrc_train.evaluation.detections import Detections
from numpy.typing import NDArray

MAX_EDGE = 800
"""Larger drawings are reduced to this, in pixels."""

STYLE = """<style>
.mrc-pair { display: flex; flex-wrap: wrap; gap: 8px; margin: 0 0 16px }
.mrc-image { margin: 0; flex: 1 1 320px; max-width: 480px }
.mrc-image figcaption { background: #282828; color: #fff; padding: 4px 8px; font: 13px/1.4 sans-serif }
.mrc-image div { position: relative; line-height: 0 }
.mrc-image img { width: 100%; max-width: none; margin: 0 }
.mrc-image svg { position: absolute; inset: 0; width: 100%; height: 100% }
.mrc-image rect { fill: transparent; stroke-width: 3; vector-effect: non-scaling-stroke }
.mrc-image rect:hover { stroke: #fff; fill: rgb(255 255 255 / 20%) }
</style>"""


def detections_panel(
    heading: str, image: Image, detections: Detections, categories: Categories, threshold: float
) -> str:
    """HTML of the image with the detections that score at least ``threshold``, each an ``mrc-detection``."""
    shown = detections.above(threshold)
    captions = [
        f"{categories.name_of(label)} {score:.2f}"
        for label, score in zip(shown.labels.tolist(), shown.scores.tolist(), strict=True)
    ]
    drawn = draw_detections(image, shown, categories, threshold)
    return _panel(heading, image, drawn, shown.boxes, captions, "mrc-detection")


def ground_truth_panel(heading: str, image: Image, record: ImageRecord, categories: Categories) -> str:
    """HTML of the image with its annotated objects, each an ``mrc-ground-truth``."""
    captions = [categories.name_of(label) for label in record.labels.tolist()]
    drawn = draw_ground_truth(image, record, categories)
    return _panel(heading, image, drawn, record.boxes, captions, "mrc-ground-truth")


def page(pairs: Sequence[Sequence[str]]) -> str:
    """HTML of panels, one row per image."""
    return STYLE + "".join(f'<div class="mrc-pair">{"".join(panels)}</div>' for panels in pairs)


def _panel(
    heading: str,
    image: Image,
    drawn: Image,
    boxes: NDArray[np.float32],
    captions: Sequence[str],
    css_class: str,
) -> str:
    height, width = image.shape[:2]
    # In reverse order, so that the best is on top, as in the drawing.
    rectangles = "".join(
        f'<rect class="{css_class}" x="{x1:.1f}" y="{y1:.1f}" width="{x2 - x1:.1f}" height="{y2 - y1:.1f}">'
        f"<title>{html.escape(caption)}</title></rect>"
        for (x1, y1, x2, y2), caption in reversed(list(zip(boxes.tolist(), captions, strict=True)))
    )
    title = html.escape(heading)
    return (
        f'<figure class="mrc-image"><figcaption>{title}</figcaption><div>'
        f'<img alt="{title}" src="data:image/jpeg;base64,{_jpeg(drawn)}">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none">{rectangles}</svg>'
        "</div></figure>"
    )


def _jpeg(drawn: Image) -> str:
    height, width = drawn.shape[:2]
    factor = MAX_EDGE / max(height, width)
    if factor < 1:
        size = (max(1, round(width * factor)), max(1, round(height * factor)))
        drawn = np.asarray(cv2.resize(drawn, size, interpolation=cv2.INTER_AREA), np.uint8)
    # A tenth of the size of a PNG; a notebook stores its images.
    _, encoded = cv2.imencode(".jpg", drawn, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return base64.b64encode(encoded.tobytes()).decode()
