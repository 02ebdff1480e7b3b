"""LabelMe: one JSON file for each image, with ``shapes`` and ``imagePath``."""

import base64
import binascii
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from mrc_train.data.masks import Bitmap
from mrc_train.data.problems import DataError

from mrc_data.shapes import Points, ellipse, of_bitmap, of_polygons, rectangle
from mrc_data.source import ImageIndex, Object, Source, SourceImage, read_json, resolved, size_of


def labelme_files(source: Path) -> list[Path]:
    """The LabelMe files of a source: itself, or all below it."""
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    return [file for file in files if is_labelme(read_json(file))]


def is_labelme(content: Any) -> bool:
    """Whether the content of a JSON file is LabelMe's."""
    return isinstance(content, dict) and isinstance(content.get("shapes"), list) and "imagePath" in content


def read_labelme(files: Sequence[Path], root: Path, images: Path | None) -> Source:
    """Read LabelMe files. Shapes of one label and group_id are one object; points and lines are skipped.

    Raises:
        DataError: for a shape that is not LabelMe's, and images that are not found.
    """
    contents = [read_json(file) for file in files]
    names = [
        f"{file.parent.as_posix()}/{content['imagePath']}"
        for file, content in zip(files, contents, strict=True)
    ]
    paths = resolved(ImageIndex(images or root), names, root)
    source = Source([], [])
    for file, content, path in zip(files, contents, paths, strict=True):
        size = size_of(path)
        objects = list(_objects(content["shapes"], size, file, source.skipped))
        source.images.append(SourceImage(path, size, objects))
    source.categories = sorted({labelled.category for image in source.images for labelled in image.objects})
    return source


def _objects(shapes: Sequence[Any], size: tuple[int, int], file: Path, skipped: Counter[str]) -> list[Object]:
    objects: list[Object] = []
    groups: dict[tuple[str, Any], list[Points]] = {}
    for number, shape in enumerate(shapes, start=1):
        where = f"{file}: shape number {number}"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise DataError(f"{where} has no label", "MRD004", ("shapes", number - 1))
        kind = shape.get("shape_type") or "polygon"
        if kind == "mask":
            objects.append(Object(shape["label"], of_bitmap(_bitmap(shape, size, where))))
            continue
        points = _points(shape.get("points"), where)
        polygon = _polygon(kind, points)
        if polygon is None:
            skipped[f"shapes of type {kind}"] += 1
            continue
        group = shape.get("group_id")
        key = (shape["label"], ("shape", number) if group is None else str(group))
        groups.setdefault(key, []).append(polygon)
    return objects + [Object(label, of_polygons(polygons)) for (label, _), polygons in groups.items()]


def _points(raw: Any, where: str) -> Points:
    try:
        points = np.asarray(raw, np.float64).reshape(-1, 2)
    except (TypeError, ValueError):
        points = np.full((1, 2), np.nan)
    if not np.isfinite(points).all():
        raise DataError(f"{where} has no list of points [x, y]", "MRD004")
    return points


def _polygon(kind: str, points: Points) -> Points | None:
    if kind == "polygon" and len(points) >= 3:
        return points
    if kind == "rectangle" and len(points) >= 2:
        return rectangle(*points.min(axis=0), *points.max(axis=0))
    if kind == "circle" and len(points) == 2:
        radius = float(np.linalg.norm(points[1] - points[0]))
        x, y = points[0].tolist()
        return ellipse(x, y, radius, radius)
    return None


def _bitmap(shape: Mapping[str, Any], size: tuple[int, int], where: str) -> Bitmap:
    """The bitmap of a mask: a PNG file in base64 whose top-left corner is the first point."""
    points = _points(shape.get("points"), where)
    try:
        content = np.frombuffer(base64.b64decode(shape["mask"], validate=True), np.uint8)
        png = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except (KeyError, TypeError, ValueError, binascii.Error, cv2.error):
        png = None
    bitmap = np.zeros(size, np.uint8)
    if png is not None and len(points):
        left, top = (int(value) for value in points[0])
        part = bitmap[max(top, 0) :, max(left, 0) :]
        mask = (png if png.ndim == 2 else png[..., 0])[max(-top, 0) :, max(-left, 0) :]
        height, width = (min(a, b) for a, b in zip(part.shape, mask.shape, strict=True))
        part[:height, :width] = mask[:height, :width] != 0
    if not bitmap.any():
        raise DataError(f"{where} has no mask with a pixel in the image", "MRD021")
    return bitmap
