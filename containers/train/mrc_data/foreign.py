"""Recognizing the annotation files of tools that do not write COCO."""

import json
from pathlib import Path


def foreign_format(path: Path) -> str | None:
    """The tool whose format a JSON file has, or None."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    if isinstance(content, list):
        tasks = [entry for entry in content[:1] if isinstance(entry, dict) and "data" in entry]
        return "Label Studio (its JSON export; export as COCO instead)" if tasks else None
    if not isinstance(content, dict):
        return None
    if "shapes" in content and "imagePath" in content:
        return "LabelMe"
    entries = content.get("_via_img_metadata", content)
    if isinstance(entries, dict) and entries:
        first = next(iter(entries.values()))
        if isinstance(first, dict) and "regions" in first and "filename" in first:
            return "the VGG Image Annotator"
    return None
