"""From a picture to its detections, through any callable that runs the inference graph."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from mrc_train.config import Config
from mrc_train.data.loader import inference_image
from mrc_train.evaluation.detections import Detections, boxes_to_original

RunGraph = Callable[..., Sequence[Any]]
"""(image, image_size) -> the tensors of ``MaskRCNN.output_names``."""


def detect(run: RunGraph, picture: npt.NDArray[np.uint8], cfg: Config) -> Detections:
    """Detections, best first, in pixels of ``picture`` (H, W, 3), uint8, BGR.

    The soft masks stay 28 x 28 relative to their boxes until somebody pastes them.
    """
    image, image_size, _ = inference_image(cfg, picture)
    _, boxes, scores, labels, *masks = run(image, image_size)
    boxes = boxes_to_original(boxes, image_size[0], *picture.shape[:2])
    return Detections(boxes, scores, labels, masks[0] if masks else None)
