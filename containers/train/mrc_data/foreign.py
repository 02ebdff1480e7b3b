"""Recognizing annotation files that are not COCO's, for the message of ``mrc-data check``."""

from pathlib import Path

from mrc_train.data.problems import DataError

from mrc_data.read_labelme import is_labelme
from mrc_data.read_via import via_entries
from mrc_data.source import read_json


def foreign_format(path: Path) -> str | None:
    """The tool whose format a JSON file has, with what to do, or None."""
    try:
        content = read_json(path)
    except DataError:
        return None
    if is_labelme(content):
        return "LabelMe; run mrc-data convert first"
    if via_entries(content):
        return "the VGG Image Annotator; run mrc-data convert first"
    if isinstance(content, list) and content and isinstance(content[0], dict) and "data" in content[0]:
        return "Label Studio in its own format; export it as COCO"
    return None
