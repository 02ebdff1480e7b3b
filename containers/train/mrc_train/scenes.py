"""Drawn scenes: a small COCO-format data set with exact masks, to try the trainer without a download.

Overlapping circles, squares, triangles and stars on a textured background, in the layout of DATA.BASEDIR.
A mask covers exactly the visible pixels of its shape.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from mrc_cli import command
from mrc_cli.arguments import ArgumentParser
from mrc_cli.errors import UserError
from mrc_cli.files import write_atomically
from mrc_cli.progress import progress
from mrc_cli.terminal import say
from numpy.typing import NDArray

from mrc_train.data.masks import Bitmap, Segmentation, encode_rle, polygons_to_mask

SHAPES = ("circle", "square", "triangle", "star")
"""Class names; the category id of a shape is its index here + 1."""

SPLITS = ("train2017", "val2017")
MANIFEST = "scenes.json"
VERSION = 1
"""Part of the manifest; to be increased when the same arguments draw different scenes."""

# Colour at full resolution: JPEG halves it by default, which blurs the edges of the shapes.
JPEG = [
    *(cv2.IMWRITE_JPEG_QUALITY, 95),
    *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
]
SUBPIXEL_BITS = 4
MIN_CONTRAST = 60.0
"""Between a shape and its surroundings, as a distance in BGR space."""

MIN_VISIBLE = 0.35
"""The fraction of a shape's pixels that no other shape covers."""


class ScenesError(UserError):
    """The arguments are invalid or the output directory cannot be used."""


@dataclass(frozen=True)
class Arguments:
    """All that determines the scenes.

    train, val: number of scenes in each split; size: height and width in pixels; seed: of all random numbers.
    """

    train: int = 1500
    val: int = 48
    size: int = 128
    seed: int = 0

    def __post_init__(self) -> None:
        if min(self.train, self.val) < 1 or self.size < 32:
            raise ScenesError(
                f"train={self.train}, val={self.val}, size={self.size}: "
                "a split needs at least 1 scene, a scene at least 32 pixels"
            )


class Scene(NamedTuple):
    """image: BGR uint8 (size, size, 3); labels: 1..4; masks: the visible part of each shape."""

    image: NDArray[np.uint8]
    labels: list[int]
    masks: list[Bitmap]


def outline(label: int, centre: NDArray[np.float64], radius: float, angle: float) -> NDArray[np.float64]:
    """Corners (n, 2) of a shape whose farthest corner is ``radius`` from its centre."""
    corners = {"circle": 48, "square": 4, "triangle": 3, "star": 10}[SHAPES[label - 1]]
    angles = angle + np.arange(corners) * 2 * np.pi / corners
    radii = np.full(corners, radius)
    if SHAPES[label - 1] == "star":
        radii[1::2] *= 0.45
    offsets: NDArray[np.float64] = radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], axis=1)
    return centre + offsets


def draw_scene(rng: np.random.Generator, size: int) -> Scene:
    """One scene of 2 to 5 shapes, redrawn until at least MIN_VISIBLE of each shape is visible."""
    while True:
        scene = _draw_once(rng, size)
        if scene is not None:
            return scene


def _draw_once(rng: np.random.Generator, size: int) -> Scene | None:
    canvas = _background(rng, size)
    owner = np.zeros((size, size), np.uint8)
    labels: list[int] = []
    areas: list[int] = []
    for number in range(1, int(rng.integers(2, 6)) + 1):
        label = int(rng.integers(1, len(SHAPES) + 1))
        radius = rng.uniform(0.08, 0.27) * size
        centre = rng.uniform(0.8 * radius, size - 0.8 * radius, 2)
        corners = outline(label, centre, radius, rng.uniform(0, 2 * np.pi))
        shape = np.zeros((size, size), np.uint8)
        cv2.fillPoly(shape, [np.round(corners * 2**SUBPIXEL_BITS).astype(np.int32)], 1, shift=SUBPIXEL_BITS)
        inside = shape.astype(bool)
        colour = _contrasting_colour(rng, canvas[inside].mean(axis=0))
        rows, columns = inside.nonzero()
        slope = rng.uniform(-0.4, 0.4, 2) * 128 / size
        shade = (columns - centre[0]) * slope[0] + (rows - centre[1]) * slope[1]
        canvas[inside] = colour + shade[:, None].astype(np.float32)
        owner[inside] = number
        labels.append(label)
        areas.append(len(rows))
    masks = [(owner == number + 1).astype(np.uint8) for number in range(len(labels))]
    if any(mask.sum() < MIN_VISIBLE * area for mask, area in zip(masks, areas, strict=True)):
        return None
    canvas += rng.standard_normal(canvas.shape, np.float32) * np.float32(rng.uniform(3, 14))
    if rng.random() < 0.3:
        cv2.GaussianBlur(canvas, (3, 3), 0, dst=canvas)
    return Scene(canvas.clip(0, 255).astype(np.uint8), labels, masks)


def _background(rng: np.random.Generator, size: int) -> NDArray[np.float32]:
    """A smooth patchwork of colours, in some scenes with stripes: float32 (size, size, 3)."""
    cells = int(rng.integers(2, 9))
    patches = rng.uniform(30, 225, (cells, cells, 3)).astype(np.float32)
    background: NDArray[np.float32] = np.array(
        cv2.resize(patches, (size, size), interpolation=cv2.INTER_CUBIC)
    )
    background *= np.float32(rng.uniform(0.3, 1))
    background += (rng.uniform(30, 200, 3) * rng.uniform(0, 0.6)).astype(np.float32)
    if rng.random() < 0.4:
        angle, pitch = rng.uniform(0, np.pi), rng.uniform(0.2, 1.2) * 128 / size
        along = np.arange(size, dtype=np.float32) * np.float32(pitch)
        phase = along[None, :] * np.float32(np.cos(angle)) + along[:, None] * np.float32(np.sin(angle))
        background += np.float32(rng.uniform(8, 30)) * np.sin(phase)[..., None]
    return background


def _contrasting_colour(rng: np.random.Generator, surroundings: NDArray[np.float32]) -> NDArray[np.float32]:
    while True:
        colour = rng.uniform(0, 255, 3)
        if np.linalg.norm(colour - surroundings) > MIN_CONTRAST:
            return colour.astype(np.float32)


def exact_segmentation(mask: Bitmap) -> Segmentation:
    """Polygons along the pixels' edges, or run lengths if polygons cannot represent it (a hole, say).

    Either way pycocotools rasterises it to exactly ``mask``.
    """
    # At twice the size, a contour through pixel centres is even at left edges and odd at right ones.
    doubled = mask.repeat(2, axis=0).repeat(2, axis=1)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    polygons = [((contour.reshape(-1) + 1) // 2).astype(np.float64) for contour in contours]
    if np.array_equal(polygons_to_mask(polygons, *mask.shape), mask):
        return polygons
    return encode_rle(mask)


def _annotation(label: int, mask: Bitmap) -> dict[str, Any]:
    segmentation = exact_segmentation(mask)
    x, y, width, height = cv2.boundingRect(mask)
    return {
        "category_id": label,
        "bbox": [x, y, width, height],
        "area": int(mask.sum()),
        "iscrowd": 0,
        "segmentation": [polygon.astype(int).tolist() for polygon in segmentation]
        if isinstance(segmentation, list)
        else segmentation,
    }


def _write_scene(directory: Path, split: int, number: int, arguments: Arguments) -> list[dict[str, Any]]:
    """Draw and write scene ``number`` (from 1) of a split; return its annotations.

    Each scene has its own random stream, so that it does not depend on the number of scenes.
    """
    scene = draw_scene(np.random.default_rng([arguments.seed, split, number]), arguments.size)
    path = directory / SPLITS[split] / _file_name(number)
    if not cv2.imwrite(str(path), scene.image, JPEG):
        raise ScenesError(f"{path}: cannot be written")
    return [_annotation(label, mask) for label, mask in zip(scene.labels, scene.masks, strict=True)]


def _file_name(number: int) -> str:
    return f"{number:06d}.jpg"


def _write_split(directory: Path, split: int, scenes: int, arguments: Arguments) -> Iterator[int]:
    """Write a split; yield 1 after each scene."""
    (directory / SPLITS[split]).mkdir(parents=True)
    numbers = range(1, scenes + 1)
    annotations: list[dict[str, Any]] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        written = pool.map(lambda number: _write_scene(directory, split, number, arguments), numbers)
        for number, objects in zip(numbers, written, strict=True):
            for entry in objects:
                annotations.append({"id": len(annotations) + 1, "image_id": number, **entry})
            yield 1
    edges = {"height": arguments.size, "width": arguments.size}
    content = {
        "info": {"description": "Drawn scenes", **asdict(arguments)},
        "images": [{"id": number, "file_name": _file_name(number), **edges} for number in numbers],
        "annotations": annotations,
        "categories": [{"id": i, "name": name, "supercategory": "shape"} for i, name in enumerate(SHAPES, 1)],
    }
    _write_json(directory / "annotations" / f"instances_{SPLITS[split]}.json", content)


def make_scenes(directory: Path, arguments: Arguments) -> Iterator[int]:
    """Fill a directory with scenes; yield 1 after each, or their number if the directory has them already.

    A directory that already has exactly these scenes is left unchanged. Other scenes, and those of an
    interrupted call, are deleted first.

    Raises:
        ScenesError: for a directory with other content than scenes.
    """
    manifest = {"version": VERSION, **asdict(arguments)}
    existing = _read_manifest(directory)
    if existing == {**manifest, "complete": True}:
        yield arguments.train + arguments.val
        return
    if existing is None and directory.exists() and any(directory.iterdir()):
        raise ScenesError(f"{directory}: not empty, and not made by mrc-scenes; name another directory")
    for name in (*SPLITS, "annotations"):
        shutil.rmtree(directory / name, ignore_errors=True)
    (directory / "annotations").mkdir(parents=True)
    _write_json(directory / MANIFEST, {**manifest, "complete": False})
    for split, scenes in enumerate((arguments.train, arguments.val)):
        yield from _write_split(directory, split, scenes, arguments)
    _write_json(directory / MANIFEST, {**manifest, "complete": True})


def _read_manifest(directory: Path) -> Any:
    try:
        return json.loads((directory / MANIFEST).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError:
        return {}
    except OSError as error:
        raise ScenesError(f"{directory}: {error.strerror}") from None


def _write_json(path: Path, content: Any) -> None:
    write_atomically(path, json.dumps(content, separators=(",", ":")))


def _non_negative_integer(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not an integer of at least 0")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Console script ``mrc-scenes``."""
    parser = ArgumentParser(
        prog="mrc-scenes",
        description="Draw a small COCO-format data set: overlapping circles, squares, triangles and stars "
        "on a textured background, with exact masks. The same arguments always draw the same scenes, and no "
        "scene is in both splits. A directory that already has these scenes is left unchanged.",
        epilog="Train on it: mrc-train --logdir run --config DATA.BASEDIR=OUTPUT_DIR "
        "PREPROC.TRAIN_SHORT_EDGE_SIZE=128 PREPROC.TEST_SHORT_EDGE_SIZE=128 PREPROC.MAX_SIZE=128",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "output_dir",
        metavar="OUTPUT_DIR",
        type=Path,
        help="directory for train2017/, val2017/ and annotations/",
    )
    for name, metavar, text in (
        ("train", "N", "number of training scenes"),
        ("val", "N", "number of validation scenes"),
        ("size", "PIXELS", "height and width of a scene, at least 32"),
        ("seed", "N", "seed of the random generator"),
    ):
        parser.add_argument(
            f"--{name}",
            type=_non_negative_integer,
            default=getattr(Arguments, name),
            metavar=metavar,
            help=text,
        )
    options = vars(parser.parse_args(argv))
    directory = options.pop("output_dir")
    try:
        arguments = Arguments(**options)
        with progress("mrc-scenes", arguments.train + arguments.val, "scenes") as advance:
            for scenes in make_scenes(directory, arguments):
                advance(scenes)
    except (ScenesError, OSError) as error:
        say(f"mrc-scenes: {command.reason(error) if isinstance(error, OSError) else error}")
        return 1
    except KeyboardInterrupt:
        print("\nmrc-scenes: interrupted; the next call starts from scratch", file=sys.stderr)
        return 130
    print(directory)
    return 0


if __name__ == "__main__":
    sys.exit(main())
