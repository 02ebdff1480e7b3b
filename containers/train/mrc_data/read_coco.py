"""COCO files with images anywhere: CVAT, Label Studio, Roboflow, VIA and many others write them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mrc_train.data.annotations import read_annotations
from mrc_train.data.problems import DataError

from mrc_data.source import ImageIndex, Object, Source, SourceImage, read_json, resolved, split_named

KEYS = ("bbox", "area", "iscrowd", "segmentation")


def coco_files(source: Path) -> list[Path]:
    """The COCO instances files of a source: itself, or all below it."""
    files = [source] if source.is_file() else sorted(source.rglob("*.json"))
    return [file for file in files if _is_coco(read_json(file))]


def _is_coco(content: Any) -> bool:
    return isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    )


def read_coco(files: Sequence[Path], images: Path | None) -> Source:
    """Read COCO files into one data set; categories of the same name are one category.

    The split of a file is in its name or its directory's. With more than one file that are not of different
    splits, all of them must contain different images.

    Raises:
        DataError: for a file that training could not read, and images that are not found.
    """
    source = Source([], [])
    annotated_in: dict[Path, Path] = {}
    for file in files:
        for image in _images_of(file, images or _root_of(file), source):
            if image.path in annotated_in:
                raise DataError(
                    f"{file} and {annotated_in[image.path]} both annotate {image.path}; convert one of them"
                )
            annotated_in[image.path] = file
            if image.split == "test":
                source.skipped["images of a test split"] += 1
            else:
                source.images.append(image)
    return source


def _root_of(file: Path) -> Path:
    """Where images are looked for: beside the file or, if it is in ``annotations``, in its subset.

    That is ``<subset>`` in COCO layout and ``images/<subset>`` in exports of CVAT; without it, the one that
    has ``annotations`` in it.
    """
    if file.parent.name != "annotations":
        return file.parent
    root, subset = file.parent.parent, file.stem.removeprefix("instances_")
    return next(filter(Path.is_dir, (root / subset, root / "images" / subset)), root)


def _images_of(file: Path, root: Path, source: Source) -> list[SourceImage]:
    annotations = read_annotations(file, masks=False)
    content = read_json(file)
    names = {int(entry["id"]): str(entry["name"]) for entry in content["categories"]}
    unused = set(names) - {int(entry["category_id"]) for entry in content["annotations"]}
    parents = {entry.get("supercategory") for entry in content["categories"]}
    for category_id, name in names.items():
        if category_id in unused and name in parents and len(names) > 1:
            source.skipped[f"category {name}, which only groups the others (file {file.name})"] += 1
        elif name not in source.categories:
            source.categories.append(name)
    objects: dict[int, list[Object]] = {}
    for entry in content["annotations"]:
        kept = {key: entry[key] for key in KEYS if key in entry}
        objects.setdefault(int(entry["image_id"]), []).append(Object(names[int(entry["category_id"])], kept))
    entries = annotations.images
    paths = resolved(ImageIndex(root), [image.file_name for image in entries.values()], file)
    split = split_named(file.stem.removeprefix("instances_")) or split_named(file.parent.name)
    return [
        SourceImage(path, (image.height, image.width), objects.get(image_id, []), split)
        for path, (image_id, image) in zip(paths, entries.items(), strict=True)
    ]
