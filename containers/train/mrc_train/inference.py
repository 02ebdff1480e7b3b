"""From a picture to its detections, through any callable that runs the inference graph."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mrc_train.config import Config
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord
from mrc_train.data.decoding import UnreadableImage
from mrc_train.data.images import inference_image
from mrc_train.evaluation.detections import Detections, boxes_to_original, to_coco_results

log = logging.getLogger("mrc_train")

RunGraph = Callable[..., Sequence[Any]]
"""(image, image_size) -> the tensors of ``MaskRCNN.output_names``."""


def detect(run: RunGraph, picture: npt.NDArray[np.uint8], cfg: Config) -> Detections:
    """Detections, best first, in pixels of ``picture`` (H, W, 3), uint8, BGR.

    The soft masks stay 28 x 28 relative to their boxes until somebody pastes them.
    """
    image, image_size = inference_image(cfg, picture)
    _, boxes, scores, labels, *masks = run(image, image_size)
    boxes = boxes_to_original(boxes, image_size[0], *picture.shape[:2])
    return Detections(boxes, scores, labels, masks[0] if masks else None)


def readable(records: Iterable[ImageRecord]) -> Iterator[tuple[ImageRecord, npt.NDArray[np.uint8]]]:
    """Records with their pictures; one that cannot be read is passed over with a warning."""
    for record in records:
        try:
            yield record, record.read()
        except UnreadableImage as error:
            log.warning(f"{error}; its objects count as not found")


def coco_results(
    run: RunGraph, records: Iterable[ImageRecord], categories: Categories, cfg: Config
) -> list[dict[str, Any]]:
    """Detections in all pictures, in COCO's results format."""
    return [
        result
        for record, picture in readable(records)
        for result in to_coco_results(
            record.image_id, detect(run, picture, cfg), categories, *picture.shape[:2]
        )
    ]
