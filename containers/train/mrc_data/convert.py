"""From what annotation tools export into the layout that charts and trainer expect."""

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrc_cli.errors import UserError
from mrc_cli.files import flush_directory, write_atomically
from mrc_cli.progress import progress
from mrc_train.data.problems import DataError

from mrc_data.read_coco import coco_files, read_coco
from mrc_data.read_labelme import labelme_files, read_labelme
from mrc_data.read_via import read_via, via_entries
from mrc_data.read_yolo import read_yolo, yolo_file
from mrc_data.source import Source, SourceImage, read_json

SPLITS = {"train": "train2017", "val": "val2017"}


def read_source(path: Path, images: Path | None, attribute: str | None) -> tuple[str, Source]:
    """The name of the format, and the data set.

    Args:
        images: where the images are, if not beside the annotations.
        attribute: VIA's region attribute with the class.

    Raises:
        DataError: when the format is not one of those known.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or directory")
    if files := coco_files(path):
        return "COCO", read_coco(files, images)
    if yaml_file := yolo_file(path):
        return "YOLO", read_yolo(yaml_file)
    if files := labelme_files(path):
        return "LabelMe", read_labelme(files, path if path.is_dir() else path.parent, images)
    candidates = [path] if path.is_file() else sorted(path.rglob("*.json"))
    via = [file for file in candidates if via_entries(read_json(file))]
    if len(via) == 1:
        return "VIA", read_via(via[0], images, attribute)
    if via:
        raise DataError(f"{path}: {len(via)} files of VIA, such as {via[0]} and {via[1]}; name one of them")
    raise DataError(
        f"{path}: no annotations of COCO, LabelMe, VIA (JSON) or YOLO (with its YAML file) are in it"
    )


def assigned(images: Sequence[SourceImage], val: float, seed: int) -> dict[str, list[SourceImage]]:
    """The images of each split, in the order of the source.

    If the source has both splits, they are kept. Otherwise a share ``val`` of the images, at least one, is
    drawn for validation: those whose name has the lowest hash. So most images stay in their split when images
    are added later.
    """
    if {image.split for image in images} >= {"train", "val"}:
        return {
            "train": [image for image in images if image.split != "val"],
            "val": [image for image in images if image.split == "val"],
        }
    count = min(max(round(len(images) * val), 1), len(images) - 1) if val else 0
    ranked = sorted(images, key=lambda image: _hash(f"{seed}/{image.path.name}"))
    chosen = {image.path for image in ranked[:count]}
    return {
        "train": [image for image in images if image.path not in chosen],
        "val": [image for image in images if image.path in chosen],
    }


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


def write_layout(source: Source, splits: dict[str, list[SourceImage]], directory: Path) -> None:
    """Copy images and write annotation files; ``directory`` appears when it is complete.

    Raises:
        UserError: when the directory exists and is not empty.
        OSError: when something cannot be read or written; nothing is left then.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise UserError(f"{directory}: already exists; name another directory for the result")
    directory.parent.mkdir(parents=True, exist_ok=True)
    ids = {name: number for number, name in enumerate(source.categories, start=1)}
    names = _file_names([image.path for image in source.images])
    temporary = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        temporary.chmod(0o755)
        (temporary / "annotations").mkdir()
        with progress("copying", len(source.images), "images") as advance:
            for split, images in splits.items():
                if not images:
                    continue
                for image in images:
                    target = temporary / SPLITS[split] / names[image.path]
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(image.path, target)
                    advance(1)
                content = _content(images, names, ids)
                file = temporary / "annotations" / f"instances_{SPLITS[split]}.json"
                write_atomically(file, json.dumps(content, separators=(",", ":")))
        if directory.exists():
            directory.rmdir()
        temporary.rename(directory)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    flush_directory(directory.parent)


def _file_names(paths: Sequence[Path]) -> dict[Path, str]:
    """The name of each image in its split: its own, with its directory's where several have the same."""
    counts = Counter(path.name for path in paths)
    return {
        path: path.name if counts[path.name] == 1 else f"{_hash(str(path.parent))[:4].hex()}-{path.name}"
        for path in paths
    }


def _content(images: Sequence[SourceImage], names: dict[Path, str], ids: dict[str, int]) -> dict[str, Any]:
    entries: list[dict[str, Any]] = []
    objects: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        height, width = image.size
        entries.append({"id": image_id, "file_name": names[image.path], "height": height, "width": width})
        for annotated in image.objects:
            keys = {"id": len(objects) + 1, "image_id": image_id, "category_id": ids[annotated.category]}
            objects.append({**keys, **annotated.entry})
    categories = [{"id": number, "name": name} for name, number in ids.items()]
    return {"images": entries, "annotations": objects, "categories": categories}
