"""Where a data set's annotation files and images are."""

from dataclasses import dataclass
from pathlib import Path

from mrc_train.data.problems import DataError

PREFIX = "instances_"


@dataclass(frozen=True)
class SplitFiles:
    """A split's annotation file and the directory of its images."""

    name: str
    annotations: Path
    images: Path


def find_splits(target: Path, images: Path | None = None) -> list[SplitFiles]:
    """The splits of a directory in COCO layout, or the one of an annotation file.

    Raises:
        DataError: when there is none.
    """
    if not target.is_dir():
        return [_split_of(target, images)]
    files = sorted((target / "annotations").glob(f"{PREFIX}*.json"))
    if files:
        return [_split_of(file, images) for file in files]
    others = sorted(target.rglob("*.json"))[:1]
    fix = f"check {others[0]} alone, or make this layout by mrc-data convert" if others else "is it mounted?"
    raise DataError(f"{target}: no annotations/{PREFIX}<split>.json; {fix}", "MRD007")


def _split_of(file: Path, images: Path | None) -> SplitFiles:
    name = file.stem.removeprefix(PREFIX)
    in_layout = file.parent.parent / name
    if images is None:
        images = in_layout if file.stem != name and in_layout.is_dir() else file.parent
    return SplitFiles(name, file, images)
