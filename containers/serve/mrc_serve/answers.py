"""From an image file to the bytes of its answer: what a worker does for a request."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from mrc_train.drawing import draw_detections
from mrc_train.evaluation.detections import Detections, to_named_results
from mrc_train.inference import LoadedModel
from numpy.typing import NDArray

from mrc_serve.errors import RequestError
from mrc_serve.inputs import decode_image


@dataclass(frozen=True)
class Wanted:
    """What the client asks for.

    Attributes:
        threshold: minimum score; None: the model's TEST.RESULT_SCORE_THRESH_VIS, as mrc-predict has it.
        maximum: number of detections at most, the best ones; None: no limit.
        png: a drawing instead of JSON.
    """

    threshold: float | None = None
    maximum: int | None = None
    png: bool = False


@dataclass(frozen=True)
class Answer:
    """The body of a response."""

    body: bytes
    media_type: str
    detections: int = 0


def answer_image(model: LoadedModel, content: bytes, wanted: Wanted, max_pixels: int) -> Answer:
    """Detections in one image file, as JSON or drawn. Raises RequestError for a file that is no image."""
    image = decode_image(content, max_pixels)
    detections, threshold = _detect(model, image, wanted)
    if wanted.png:
        drawing = draw_detections(image, detections, model.categories, threshold)
        return Answer(cv2.imencode(".png", drawing)[1].tobytes(), "image/png", len(detections))
    body = json.dumps(_described(model, image, detections, threshold))
    return Answer(f"{body}\n".encode(), "application/json", len(detections))


def answer_lines(
    model: LoadedModel, images: Sequence[bytes | RequestError], wanted: Wanted, max_pixels: int
) -> Answer:
    """Detections in several image files, a JSON line for each: ``{"error": ...}`` for a file that is none.

    Raises:
        RequestError: when the only image is none.
    """
    lines, count = [], 0
    for content in images:
        try:
            if isinstance(content, RequestError):
                raise content
            image = decode_image(content, max_pixels)
        except RequestError as error:
            if len(images) == 1:
                raise
            lines.append(json.dumps({"error": str(error), "status": error.status}))
            continue
        detections, threshold = _detect(model, image, wanted)
        lines.append(json.dumps(_described(model, image, detections, threshold)))
        count += len(detections)
    return Answer("".join(f"{line}\n" for line in lines).encode(), "application/jsonlines", count)


def _detect(model: LoadedModel, image: NDArray[np.uint8], wanted: Wanted) -> tuple[Detections, float]:
    threshold = model.cfg.TEST.RESULT_SCORE_THRESH_VIS if wanted.threshold is None else wanted.threshold
    return model(image).above(threshold).first(wanted.maximum), threshold


def _described(
    model: LoadedModel, image: NDArray[np.uint8], detections: Detections, threshold: float
) -> dict[str, Any]:
    height, width = image.shape[:2]
    return {
        "width": width,
        "height": height,
        "threshold": threshold,
        "detections": to_named_results(detections, model.categories, height, width),
    }
