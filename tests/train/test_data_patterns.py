"""Doubtful patterns in annotation files: each is named once, with counts and likely cause."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import CATEGORIES, annotation, image, write_image, write_split
from mrc_train.data.annotations import DataError
from mrc_train.data.coco import load_split
from mrc_train.data.masks import encode_rle

BOXES = [[7.0, 8.0, 20.0, 21.0], [32.0, 8.0, 22.0, 19.0], [4.0, 4.0, 30.0, 12.0], [30.0, 12.0, 25.0, 25.0]]


def objects(bbox: Callable[[list[float]], list[float]] = lambda box: box) -> list[dict[str, Any]]:
    """Four objects whose polygons fit BOXES in two images of 60 x 40, with changed boxes."""
    return [annotation(1 + index // 2, box) | {"bbox": bbox(box)} for index, box in enumerate(BOXES)]


def notes(directory: Path, entries: list[dict[str, Any]], masks: bool = True) -> str:
    write_split(directory, [image(1), image(2)], entries)
    return "\n".join(load_split(directory, "train2017", masks).notes)


def test_objects_as_they_should_be_are_not_doubted(tmp_path: Path) -> None:
    assert notes(tmp_path, objects()) == ""


def test_run_lengths_and_loosely_drawn_boxes_are_not_doubted(tmp_path: Path) -> None:
    bitmap = np.zeros((40, 60), np.uint8)
    bitmap[8:29, 7:27] = 1
    loose = objects(lambda box: [box[0] - 1, box[1] - 1, box[2] + 2, box[3] + 2])
    loose[0]["segmentation"] = encode_rle(bitmap)
    assert notes(tmp_path, loose) == ""


def test_boxes_as_two_corners_are_named_as_such(tmp_path: Path) -> None:
    corners = objects(lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]])
    note = notes(tmp_path, corners)
    assert note.startswith("4 of 4 boxes are not the box of their mask.")
    assert "these fit as [x1, y1, x2, y2]" in note
    assert "\n" not in note  # that they reach out of the image has the same cause


def test_boxes_as_two_corners_are_recognized_without_masks(tmp_path: Path) -> None:
    corners = objects(lambda box: [box[0], box[1], box[0] + box[2], box[1] + box[3]])
    note = notes(tmp_path, corners, masks=False)
    assert "boxes reach out of their image" in note
    assert "these fit as [x1, y1, x2, y2]" in note


def test_boxes_around_a_centre_are_named_as_such(tmp_path: Path) -> None:
    note = notes(tmp_path, objects(lambda box: [box[0] + box[2] / 2, box[1] + box[3] / 2, *box[2:]]))
    assert "4 of 4 boxes are not the box of their mask" in note
    assert "[centre x, centre y, width, height]" in note


def test_a_mask_outside_its_box_is_counted(tmp_path: Path) -> None:
    entries = objects()
    entries[1]["segmentation"] = [[2, 30, 12, 30, 12, 38, 2, 38]]
    note = notes(tmp_path, entries)
    assert note.startswith("1 of 4 boxes are not the box of their mask. These masks are outside their boxes")


def test_a_box_that_reaches_half_out_of_its_image_is_counted(tmp_path: Path) -> None:
    entries = objects()
    entries[0] |= annotation(1, [-30, -30, 60, 60])
    note = notes(tmp_path, entries)
    assert note.startswith("1 of 4 boxes reach out of their image. Check that the image was not resized")


def test_a_box_that_reaches_one_pixel_out_is_not_doubted(tmp_path: Path) -> None:
    entries = objects()
    entries[0] |= annotation(1, [-1, -1, 20, 20])
    assert notes(tmp_path, entries) == ""


def test_boxes_that_follow_the_exif_rotation_are_named_as_such(tmp_path: Path) -> None:
    # The file says 60 x 40, the boxes were drawn on the rotated image, 40 x 60.
    entries = [annotation(1, [5, 5, 20, 20]), annotation(1, [5, 35, 20, 20])]
    note = notes(tmp_path, entries)
    assert note.startswith("1 of 2 boxes reach out of their image.")
    assert "EXIF rotation" in note


def test_boxes_from_0_to_1_are_an_error_that_says_how_to_convert_them(tmp_path: Path) -> None:
    entries = objects(lambda box: [box[0] / 60, box[1] / 40, box[2] / 60, box[3] / 40])
    with pytest.raises(DataError, match="all 4 boxes are between 0 and 1, expected pixels"):
        notes(tmp_path, entries, masks=False)


def test_boxes_of_less_than_two_pixels_are_counted(tmp_path: Path) -> None:
    note = notes(tmp_path, objects(lambda box: [box[0], box[1], 1.5, 1.5]), masks=False)
    assert "4 of 4 boxes are less than 2 pixels wide or high" in note


@pytest.mark.parametrize("value", [None, "0", "yes", 2, [1]])
def test_odd_types_of_iscrowd_are_counted(value: Any, tmp_path: Path) -> None:
    entries = objects()
    entries[2]["iscrowd"] = value
    assert "1 of 4 objects have an iscrowd other than 0 and 1" in notes(tmp_path, entries)


@pytest.mark.parametrize(
    ("named", "file"),
    [
        ("/home/me/data/train2017/a.png", "a.png"),
        ("C:\\data\\train2017\\sub\\a.png", "sub/a.png"),
    ],
)
def test_an_absolute_path_into_a_directory_of_the_splits_name_is_resolved(
    named: str, file: str, tmp_path: Path
) -> None:
    (tmp_path / "train2017").mkdir()
    write_image(tmp_path / "train2017" / file, 40, 60)
    write_annotations(tmp_path, named)
    split = load_split(tmp_path, "train2017")
    assert split.records[0].path == tmp_path / "train2017" / file
    assert f"1 file names are read differently, such as {named} as {file}" in split.summary()


def test_an_absolute_path_is_never_read(tmp_path: Path) -> None:
    (tmp_path / "train2017").mkdir()
    outside = tmp_path / "secret.png"
    write_image(outside, 40, 60)
    write_annotations(tmp_path, str(outside))
    with pytest.raises(DataError, match=r"1 of 1 images in .* are missing"):
        load_split(tmp_path, "train2017")


@pytest.mark.parametrize(
    ("named", "similar"), [("/elsewhere/1.png", "1.png"), ("1.jpg", "1.png"), ("other/1.PNG", "1.png")]
)
def test_the_file_that_a_missing_image_probably_is_is_named(named: str, similar: str, tmp_path: Path) -> None:
    (tmp_path / "train2017").mkdir()
    write_image(tmp_path / "train2017" / "1.png", 40, 60)
    write_annotations(tmp_path, named)
    with pytest.raises(DataError, match=rf"such as {named}; did you mean {similar}\?$"):
        load_split(tmp_path, "train2017")


def write_annotations(directory: Path, file_name: str) -> None:
    content = {"images": [image(1, file_name=file_name)], "annotations": [], "categories": CATEGORIES}
    (directory / "annotations").mkdir()
    (directory / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
