"""VGG Image Annotator, versions 1 and 2: a project file or an export of annotations as JSON."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from mrc_train.data.problems import DataError

from mrc_data.shapes import Points, ellipse, of_polygons, rectangle
from mrc_data.source import ImageIndex, Object, Source, SourceImage, read_json, resolved, size_of


def via_entries(content: Any) -> list[dict[str, Any]] | None:
    """The images of a VIA file, None for a file of another format."""
    entries = content.get("_via_img_metadata", content) if isinstance(content, dict) else None
    if not isinstance(entries, dict) or not entries:
        return None
    listed = list(entries.values())
    if not all(isinstance(entry, dict) and "filename" in entry and "regions" in entry for entry in listed):
        return None
    return listed


def read_via(file: Path, images: Path | None, attribute: str | None) -> Source:
    """Read a VIA file. The class is the value of a region's attribute; points and polylines are skipped.

    Args:
        attribute: the region attribute with the class; None when regions have only one.

    Raises:
        DataError: when the class is not clear, for a shape that is not VIA's, and images that are not found.
    """
    entries = via_entries(read_json(file)) or []
    paths = resolved(ImageIndex(images or file.parent), [str(entry["filename"]) for entry in entries], file)
    source = Source([], [])
    key = attribute or _attribute(entries, file)
    for entry, path in zip(entries, paths, strict=True):
        objects = list(_objects(entry, key, file, source.skipped))
        source.images.append(SourceImage(path, size_of(path), objects))
    source.categories = sorted({labelled.category for image in source.images for labelled in image.objects})
    return source


def _regions(entry: Mapping[str, Any]) -> list[Any]:
    regions = entry["regions"]
    return list(regions.values()) if isinstance(regions, dict) else list(regions or ())


def _attribute(entries: list[dict[str, Any]], file: Path) -> str:
    names: set[str] = {
        str(name)
        for entry in entries
        for region in _regions(entry)
        if isinstance(region, dict)
        for name in region.get("region_attributes") or ()
    }
    if len(names) != 1:
        listed = ", ".join(sorted(names)) or "none"
        raise DataError(
            f"{file}: regions have the attributes {listed}; name the one with the class by --attribute"
        )
    return names.pop()


def _objects(entry: Mapping[str, Any], key: str, file: Path, skipped: Counter[str]) -> Iterator[Object]:
    for number, region in enumerate(_regions(entry), start=1):
        where = f"{file}: {entry['filename']}: region number {number}"
        try:
            shape = region["shape_attributes"]
            kind = str(shape["name"])
            polygon = _polygon(kind, shape)
            label = _label(region.get("region_attributes", {}).get(key))
        except (KeyError, TypeError, ValueError, AttributeError):
            raise DataError(f"{where} is not a region of VIA", "MRD004") from None
        if polygon is None:
            skipped[f"regions of shape {kind}"] += 1
        elif label is None:
            skipped[f"regions without a value of the attribute {key}"] += 1
        else:
            yield Object(label, of_polygons([polygon]))


def _label(value: Any) -> str | None:
    """The class: a string, or of the options of a checkbox the one that is chosen."""
    if isinstance(value, dict):
        chosen = [str(name) for name, is_set in value.items() if is_set]
        return chosen[0] if len(chosen) == 1 else None
    return str(value) if value not in (None, "") else None


def _polygon(kind: str, shape: Mapping[str, Any]) -> Points | None:
    if kind == "polygon":
        points = np.array([shape["all_points_x"], shape["all_points_y"]], np.float64).T
        if points.ndim != 2 or len(points) < 3:
            return None
        return points
    if kind == "rect":
        x, y, width, height = (float(shape[name]) for name in ("x", "y", "width", "height"))
        return rectangle(x, y, x + width, y + height)
    if kind == "circle":
        return ellipse(float(shape["cx"]), float(shape["cy"]), float(shape["r"]), float(shape["r"]))
    if kind == "ellipse":
        cx, cy, rx, ry = (float(shape[name]) for name in ("cx", "cy", "rx", "ry"))
        return ellipse(cx, cy, rx, ry, float(shape.get("theta") or 0))
    return None
