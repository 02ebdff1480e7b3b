"""From an image to its detections, with any callable that runs the inference graph. Imports no TensorFlow."""

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


class LoadedModel:
    """A model that is called on images: ``detections = model(image)``.

    Attributes:
        cfg: the settings that it was trained with.
        categories: names and COCO ids of its classes.
    """

    def __init__(self, run: RunGraph, cfg: Config, categories: Categories) -> None:
        self._run = run
        self.cfg = cfg
        self.categories = categories

    def __call__(self, image: npt.NDArray[np.uint8]) -> Detections:
        """Detections, best first, in pixels of ``image``, uint8 (H, W, 3) in BGR order."""
        return detect(self._run, image, self.cfg)

    def coco_results(self, records: Iterable[ImageRecord]) -> list[dict[str, Any]]:
        """Detections in all images of a split, in COCO's results format."""
        return coco_results(self._run, records, self.categories, self.cfg)


def detect(run: RunGraph, image: npt.NDArray[np.uint8], cfg: Config) -> Detections:
    """Detections, best first, in pixels of ``image`` (H, W, 3), uint8, BGR.

    Masks are soft masks (28 x 28) relative to their boxes; ``Detections`` pastes them one by one on request.
    """
    batch, image_size = inference_image(cfg, image)
    _, boxes, scores, labels, *masks = run(batch, image_size)
    boxes = boxes_to_original(boxes, image_size[0], *image.shape[:2])
    return Detections(boxes, scores, labels, masks[0] if masks else None)


def readable(records: Iterable[ImageRecord]) -> Iterator[tuple[ImageRecord, npt.NDArray[np.uint8]]]:
    """Records with their images; an image that cannot be read is skipped with a warning."""
    for record in records:
        try:
            yield record, record.read()
        except UnreadableImage as error:
            log.warning(f"{error}; its objects count as not found")


def coco_results(
    run: RunGraph, records: Iterable[ImageRecord], categories: Categories, cfg: Config
) -> list[dict[str, Any]]:
    """Detections in all images, in COCO's results format."""
    return [
        result
        for record, image in readable(records)
        for result in to_coco_results(record.image_id, detect(run, image, cfg), categories, *image.shape[:2])
    ]
