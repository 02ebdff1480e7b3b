"""Small COCO-format data sets for tests."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

CATEGORIES = [{"id": 1, "name": "disc"}, {"id": 2, "name": "plate"}]


def image(image_id: int, height: int = 40, width: int = 60, **others: Any) -> dict[str, Any]:
    return {"id": image_id, "file_name": f"{image_id}.png", "height": height, "width": width, **others}


def annotation(image_id: int, box: list[float], category_id: int = 1, **others: Any) -> dict[str, Any]:
    """An annotation of a rectangular object; box is x, y, width, height."""
    x, y, w, h = box
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    entry = {"image_id": image_id, "category_id": category_id, "bbox": box, "area": w * h, "iscrowd": 0}
    return {**entry, "segmentation": [corners], **others}


def write_split(
    basedir: Path,
    images: list[dict[str, Any]],
    objects: list[dict[str, Any]],
    name: str = "train2017",
    categories: list[dict[str, Any]] = CATEGORIES,
    **other_content: Any,
) -> Path:
    """Write images of noise and their annotation file, which is returned. Objects get ids from 1."""
    (basedir / name).mkdir(parents=True, exist_ok=True)
    for entry in images:
        write_image(basedir / name / entry["file_name"], entry["height"], entry["width"])
    annotations = [{"id": number, **entry} for number, entry in enumerate(objects, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories, **other_content}
    path = basedir / "annotations" / f"instances_{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_image(path: Path, height: int, width: int) -> None:
    pixels = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), pixels)


def jpeg_with_exif_rotation() -> bytes:
    """A JPEG stored as 40 x 20 (width x height), left half white, which EXIF rotates clockwise."""
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, :20] = 255
    return with_exif_rotation(pixels)


def with_exif_rotation(pixels: NDArray[np.uint8]) -> bytes:
    """A JPEG of these pixels whose EXIF orientation is 6, 90 degrees clockwise."""
    _, encoded = cv2.imencode(".jpg", pixels)
    # APP1 with one little-endian IFD entry: tag 0x0112 (orientation), SHORT, count 1, value 6.
    tiff = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"
    app1 = b"\xff\xe1" + (len(tiff) + 8).to_bytes(2, "big") + b"Exif\0\0" + tiff
    data = encoded.tobytes()
    return data[:2] + app1 + data[2:]
