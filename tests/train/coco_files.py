"""Small COCO-format folders for tests."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CATEGORIES = [{"id": 1, "name": "disc"}, {"id": 2, "name": "plate"}]


def image(image_id: int, height: int = 40, width: int = 60, **others: Any) -> dict[str, Any]:
    return {"id": image_id, "file_name": f"{image_id}.png", "height": height, "width": width, **others}


def thing(image_id: int, box: list[float], category_id: int = 1, **others: Any) -> dict[str, Any]:
    """A rectangular object; box is x, y, width, height."""
    x, y, w, h = box
    corners = [x, y, x + w, y, x + w, y + h, x, y + h]
    entry = {"image_id": image_id, "category_id": category_id, "bbox": box, "area": w * h, "iscrowd": 0}
    return {**entry, "segmentation": [corners], **others}


def write_split(
    basedir: Path,
    images: list[dict[str, Any]],
    things: list[dict[str, Any]],
    name: str = "train2017",
    categories: list[dict[str, Any]] = CATEGORIES,
    **other_content: Any,
) -> Path:
    """Pictures of noise and their annotation file, which is returned. Things get ids from 1."""
    (basedir / name).mkdir(parents=True, exist_ok=True)
    for entry in images:
        write_picture(basedir / name / entry["file_name"], entry["height"], entry["width"])
    annotations = [{"id": number, **entry} for number, entry in enumerate(things, start=1)]
    content = {"images": images, "annotations": annotations, "categories": categories, **other_content}
    path = basedir / "annotations" / f"instances_{name}.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_picture(path: Path, height: int, width: int) -> None:
    pixels = np.random.default_rng([height, width]).integers(0, 256, (height, width, 3), np.uint8)
    path.parent.mkdir(exist_ok=True)
    assert cv2.imwrite(str(path), pixels)
