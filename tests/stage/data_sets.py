"""Data sets of random bytes, and their comparison."""

import random
from pathlib import Path

from mrc_cli.staged import MARKER


def tree(root: Path) -> dict[str, bytes]:
    """All files below a directory, without the marker of staging."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.name != MARKER
    }


def data_set(root: Path, images: int, largest: int = 30_000) -> Path:
    """A directory in COCO layout with random bytes for images."""
    rng = random.Random(7)
    (root / "train2017").mkdir(parents=True)
    (root / "annotations").mkdir()
    for number in range(images):
        (root / "train2017" / f"{number * 29:012}.jpg").write_bytes(rng.randbytes(rng.randint(0, largest)))
    (root / "annotations" / "instances_train2017.json").write_text('{"a name": "Ünïcode"}' * 100)
    return root
