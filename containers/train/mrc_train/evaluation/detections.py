"""The detections in one image, in pixels of the original image, and their COCO results format."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrc_train.data.categories import Categories
from mrc_train.data.masks import Bitmap, Rle, decode_rle, encode_rle, paste_mask


@dataclass(frozen=True, eq=False)
class Detections:
    """n detected objects, by descending score.

    boxes: float32 (n, 4) x1, y1, x2, y2 in pixels of the original image; scores: float32 (n,);
    labels: int32 (n,) of 1..C; masks: soft masks float32 (n, m, m) over the boxes, or n run lengths of the
    whole image, or None without a mask head.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    labels: NDArray[np.int32]
    masks: NDArray[np.float32] | Sequence[Rle] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def above(self, threshold: float) -> "Detections":
        """The detections that score at least ``threshold``."""
        kept: list[int] = np.flatnonzero(self.scores >= threshold).tolist()
        masks = self.masks
        if masks is not None:
            masks = masks[kept] if isinstance(masks, np.ndarray) else [masks[index] for index in kept]
        return Detections(self.boxes[kept], self.scores[kept], self.labels[kept], masks)

    def first(self, maximum: int | None) -> "Detections":
        """The best ``maximum`` detections; None: all of them."""
        masks = None if self.masks is None else self.masks[:maximum]
        return Detections(self.boxes[:maximum], self.scores[:maximum], self.labels[:maximum], masks)

    def bitmap(self, index: int, height: int, width: int) -> Bitmap | None:
        """One object's mask as uint8 (height, width), the original image's size; None without masks."""
        if self.masks is None:
            return None
        if isinstance(self.masks, np.ndarray):
            return paste_mask(self.masks[index], self.boxes[index], height, width)
        return decode_rle(self.masks[index])

    def rle(self, index: int, height: int, width: int) -> Rle | None:
        """One object's mask as run lengths; None without masks."""
        if self.masks is None or isinstance(self.masks, np.ndarray):
            bitmap = self.bitmap(index, height, width)
            return None if bitmap is None else encode_rle(bitmap)
        return self.masks[index]


def boxes_to_original(
    boxes: NDArray[np.float32], image_size: NDArray[np.float32], height: int, width: int
) -> NDArray[np.float32]:
    """Map boxes (n, 4) from a resized image, ``image_size`` (2,) = (height, width), to the original, clipped.

    Each axis has its own factor, since resizing rounds each side to whole pixels.
    """
    factors = np.array([width / image_size[1], height / image_size[0]] * 2)
    original: NDArray[np.float64] = boxes * factors
    return original.clip(0, [width, height, width, height]).astype(np.float32)


def to_coco_results(
    image_id: int, detections: Detections, categories: Categories, height: int, width: int
) -> list[dict[str, Any]]:
    """Entries of a COCO results file, ready for JSON.

    ``bbox`` is x, y, width, height in pixels, rounded to hundredths; ``category_id`` is the data set's id;
    ``segmentation``, only with masks, holds run lengths for an image of the given size.
    """
    results = []
    for index, (box, score, label) in enumerate(
        zip(detections.boxes.tolist(), detections.scores.tolist(), detections.labels.tolist(), strict=True)
    ):
        x1, y1, x2, y2 = box
        result = {
            "image_id": image_id,
            "category_id": categories.id_of(label),
            "bbox": [round(value, 2) for value in (x1, y1, x2 - x1, y2 - y1)],
            "score": round(score, 6),
        }
        rle = detections.rle(index, height, width)
        if rle is not None:
            result["segmentation"] = rle
        results.append(result)
    return results


def to_named_results(
    detections: Detections, categories: Categories, height: int, width: int
) -> list[dict[str, Any]]:
    """COCO results of one image without the image id, with the class names; ready for JSON."""
    entries = to_coco_results(0, detections, categories, height, width)
    return [
        {"category": categories.name_of(int(label)), **{k: v for k, v in entry.items() if k != "image_id"}}
        for label, entry in zip(detections.labels, entries, strict=True)
    ]
