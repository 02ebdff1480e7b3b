"""mrc-data convert: exports of annotation tools become data sets that the trainer reads."""

import base64
import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from coco_files import annotation, image, write_image
from mrc_data.cli import main
from mrc_train.data.coco import Split, load_split
from mrc_train.data.masks import segmentation_to_mask

HEIGHT, WIDTH = 40, 60
RECTANGLE = [10.0, 5.0, 30.0, 20.0]  # x1, y1, x2, y2
CORNERS = [[10, 5], [30, 5], [30, 20], [10, 20]]

Convert = Callable[..., tuple[int, str]]


@pytest.fixture
def convert(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Convert:
    """Run mrc-data convert; returns the exit code and stderr."""

    def converted(*arguments: str | Path) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["mrc-data", "convert", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capfd.readouterr().err

    return converted


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def images_at(directory: Path, *names: str) -> None:
    for name in names:
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(directory / name, HEIGHT, WIDTH)


def splits_of(directory: Path) -> tuple[Split, Split]:
    return load_split(directory, "train2017"), load_split(directory, "val2017")


def assert_is_the_rectangle(split: Split, expected_class: str) -> None:
    """Every image has one object: the rectangle, exactly, as box and as mask."""
    for record in split.records:
        np.testing.assert_allclose(record.boxes, [RECTANGLE])
        assert split.categories.name_of(int(record.labels[0])) == expected_class
        expected = np.zeros((HEIGHT, WIDTH), np.uint8)
        expected[5:20, 10:30] = 1
        np.testing.assert_array_equal(segmentation_to_mask(record.segmentations[0], HEIGHT, WIDTH), expected)
        assert record.read().shape == (HEIGHT, WIDTH, 3)
    assert split.records and not split.notes and not split.dropped


def coco(names: list[str], **others: Any) -> dict[str, Any]:
    images = [image(number, file_name=name) for number, name in enumerate(names, start=1)]
    objects = [
        {"id": number, **annotation(number, [10, 5, 20, 15], **others)} for number in range(1, len(names) + 1)
    ]
    return {"images": images, "annotations": objects, "categories": [{"id": 1, "name": "bottle"}]}


def test_an_export_of_cvat_is_split_by_the_seed(tmp_path: Path, convert: Convert) -> None:
    names = [f"frame_{number:06}.png" for number in range(10)]
    images_at(tmp_path / "export" / "images" / "default", *names)
    content = coco(names, attributes={"occluded": False})
    for entry in content["images"]:
        entry |= {"license": 0, "flickr_url": "", "coco_url": "", "date_captured": 0}
    write_json(tmp_path / "export" / "annotations" / "instances_default.json", content)

    assert convert(tmp_path / "export", tmp_path / "data")[0] == 0
    train, val = splits_of(tmp_path / "data")
    assert (len(train.records), len(val.records)) == (8, 2)
    assert_is_the_rectangle(train, "bottle")
    assert_is_the_rectangle(val, "bottle")

    def val_names(*options: str) -> set[str]:
        out = tmp_path / "-".join(options)
        convert(tmp_path / "export", out, *options)
        return {record.path.name for record in load_split(out, "val2017").records}

    assert val_names("--seed", "0") == {record.path.name for record in val.records}
    assert len({frozenset(val_names("--seed", str(seed), "--val", "0.3")) for seed in range(1, 5)}) > 1


def test_images_stay_in_their_split_when_others_are_added(tmp_path: Path, convert: Convert) -> None:
    names = [f"{number}.png" for number in range(20)]
    images_at(tmp_path / "export", *names)
    file = write_json(tmp_path / "export" / "result.json", coco(names[:10]))
    convert(file, tmp_path / "before")
    write_json(file, coco(names))
    convert(file, tmp_path / "after")
    before = {record.path.name for record in load_split(tmp_path / "before", "train2017").records}
    after = {record.path.name for record in load_split(tmp_path / "after", "train2017").records}
    assert len(before - after) <= 3  # a random split would move up to 8


def test_an_export_of_roboflow_keeps_its_splits_and_loses_its_unused_category(
    tmp_path: Path, convert: Convert
) -> None:
    for split in ("train", "valid", "test"):
        content = coco([f"{split}_{number}_png.rf.abc.png" for number in range(2)])
        content["categories"] = [
            {"id": 0, "name": "bottles", "supercategory": "none"},
            {"id": 1, "name": "bottle", "supercategory": "bottles"},
        ]
        images_at(tmp_path / "export" / split, *(entry["file_name"] for entry in content["images"]))
        write_json(tmp_path / "export" / split / "_annotations.coco.json", content)

    code, stderr = convert(tmp_path / "export", tmp_path / "data")

    assert code == 0
    train, val = splits_of(tmp_path / "data")
    assert train.categories.names == ("bottle",)
    assert {record.path.name for record in val.records} == {f"valid_{n}_png.rf.abc.png" for n in range(2)}
    assert_is_the_rectangle(train, "bottle")
    assert "2 images of a test split" in stderr
    assert "category bottles, which only groups the others" in stderr


def test_names_of_label_studio_are_found_wherever_the_images_are(tmp_path: Path, convert: Convert) -> None:
    images_at(tmp_path / "storage" / "upload", "0a1b-my photo.png", "2c3d-other.png")
    file = write_json(
        tmp_path / "result.json", coco(["images\\upload/0a1b-my%20photo.png", "/data/upload/2c3d-other.png"])
    )
    assert convert(file, tmp_path / "data", "--images", tmp_path / "storage")[0] == 0
    train, _ = splits_of(tmp_path / "data")
    assert_is_the_rectangle(train, "bottle")


@pytest.mark.parametrize("shape_type", ["polygon", "rectangle", "mask"])
def test_shapes_of_labelme_become_the_same_masks(shape_type: str, tmp_path: Path, convert: Convert) -> None:
    images_at(tmp_path / "export", "1.png", "2.png")
    shape: dict[str, Any] = {"label": "bottle", "shape_type": shape_type, "points": CORNERS, "group_id": None}
    if shape_type == "rectangle":
        shape["points"] = [[30, 5], [10, 20]]
    if shape_type == "mask":
        _, png = cv2.imencode(".png", np.ones((15, 20), np.uint8))
        shape |= {"points": [[10, 5], [29, 19]], "mask": base64.b64encode(png.tobytes()).decode()}
    for number in (1, 2):
        content = {"version": "5.5.0", "shapes": [shape], "imagePath": f"..\\export\\{number}.png"}
        write_json(tmp_path / "export" / f"{number}.json", content)
    assert convert(tmp_path / "export", tmp_path / "data")[0] == 0
    for split in splits_of(tmp_path / "data"):
        assert_is_the_rectangle(split, "bottle")


def test_shapes_of_labelme_in_one_group_are_one_object_and_lines_are_counted(
    tmp_path: Path, convert: Convert
) -> None:
    images_at(tmp_path / "export", "1.png", "2.png")
    shapes = [
        {"label": "bottle", "points": CORNERS, "group_id": 7, "shape_type": "polygon"},
        {"label": "bottle", "points": [[40, 5], [50, 5], [50, 9]], "group_id": 7, "shape_type": "polygon"},
        {"label": "bottle", "points": [[40, 30], [50, 30]], "shape_type": "line"},
    ]
    for number in (1, 2):
        write_json(tmp_path / "export" / f"{number}.json", {"shapes": shapes, "imagePath": f"{number}.png"})
    _, stderr = convert(tmp_path / "export", tmp_path / "data")
    (record,) = load_split(tmp_path / "data", "train2017").records
    np.testing.assert_allclose(record.boxes, [[10, 5, 50, 20]])
    assert "left out: 2 shapes of type line" in stderr


@pytest.mark.parametrize("version", [1, 2])
def test_regions_of_via_become_objects(version: int, tmp_path: Path, convert: Convert) -> None:
    images_at(tmp_path / "export", "1.png", "2.png")
    xs, ys = zip(*CORNERS, strict=True)
    polygon = {"name": "polygon", "all_points_x": xs, "all_points_y": ys}
    rectangle = {"name": "rect", "x": 10, "y": 5, "width": 20, "height": 15}
    entries = {}
    for number, shape in ((1, polygon), (2, rectangle)):
        region = {"shape_attributes": shape, "region_attributes": {"type": "bottle"}}
        regions = {"0": region} if version == 1 else [region]
        entries[f"{number}.png123"] = {"filename": f"{number}.png", "size": 123, "regions": regions}
    content = entries if version == 1 else {"_via_settings": {}, "_via_img_metadata": entries}
    write_json(tmp_path / "export" / "via_region_data.json", content)
    assert convert(tmp_path / "export", tmp_path / "data")[0] == 0
    for split in splits_of(tmp_path / "data"):
        assert_is_the_rectangle(split, "bottle")


def test_circles_and_ellipses_of_via_have_their_area(tmp_path: Path, convert: Convert) -> None:
    images_at(tmp_path / "export", "1.png")
    shapes = [
        {"name": "circle", "cx": 30, "cy": 20, "r": 15},
        {"name": "ellipse", "cx": 30, "cy": 20, "rx": 25, "ry": 8, "theta": math.pi / 2},
        {"name": "point", "cx": 3, "cy": 3},
    ]
    regions = [{"shape_attributes": shape, "region_attributes": {"type": {"can": True}}} for shape in shapes]
    write_json(tmp_path / "export" / "a.json", {"k": {"filename": "1.png", "regions": regions}})
    _, stderr = convert(tmp_path / "export", tmp_path / "data", "--val", "0")
    content = json.loads((tmp_path / "data" / "annotations" / "instances_train2017.json").read_text())
    circle, ellipse = content["annotations"]
    assert circle["area"] == pytest.approx(math.pi * 15**2, rel=0.03)
    assert ellipse["area"] == pytest.approx(math.pi * 25 * 8, rel=0.03)
    np.testing.assert_allclose(circle["bbox"], [15, 5, 30, 30], atol=0.5)
    np.testing.assert_allclose(ellipse["bbox"], [22, -5, 16, 50], atol=0.5)  # rotated by 90 degrees
    assert "left out: 1 regions of shape point" in stderr
    assert not (tmp_path / "data" / "val2017").exists()


def test_the_attribute_with_the_class_is_asked_for_when_there_are_several(
    tmp_path: Path, convert: Convert
) -> None:
    images_at(tmp_path / "export", "1.png")
    region = {
        "shape_attributes": {"name": "rect", "x": 10, "y": 5, "width": 20, "height": 15},
        "region_attributes": {"type": "bottle", "quality": "good"},
    }
    write_json(tmp_path / "export" / "a.json", {"k": {"filename": "1.png", "regions": [region]}})
    code, stderr = convert(tmp_path / "export", tmp_path / "data")
    assert code == 1
    assert "attributes quality, type; name the one with the class by --attribute" in stderr
    assert convert(tmp_path / "export", tmp_path / "data", "--attribute", "type")[0] == 0
    assert load_split(tmp_path / "data", "train2017").categories.names == ("bottle",)


@pytest.mark.parametrize("layout", ["images/{split}/{n}.png", "{split}/images/{n}.png"])
def test_polygons_of_yolo_keep_their_splits(layout: str, tmp_path: Path, convert: Convert) -> None:
    row = " ".join(f"{x / WIDTH:.6f} {y / HEIGHT:.6f}" for x, y in CORNERS)
    for split in ("train", "val"):
        for number in (1, 2):
            name = layout.format(split=split, n=number)
            images_at(tmp_path / "export", name)
            labels = (tmp_path / "export" / name.replace("images", "labels")).with_suffix(".txt")
            labels.parent.mkdir(parents=True, exist_ok=True)
            labels.write_text(f"1 {row}\n")
    (tmp_path / "export" / "data.yaml").write_text("names:\n  0: can\n  1: bottle\n")
    assert convert(tmp_path / "export", tmp_path / "data")[0] == 0
    train, val = splits_of(tmp_path / "data")
    assert (len(train.records), len(val.records)) == (2, 2)
    for split in (train, val):
        assert split.categories.names == ("can", "bottle")
        for record in split.records:
            np.testing.assert_allclose(record.boxes, [RECTANGLE], atol=0.01)
            assert segmentation_to_mask(record.segmentations[0], HEIGHT, WIDTH).sum() == 20 * 15


def test_boxes_of_yolo_become_boxes_without_masks(tmp_path: Path, convert: Convert) -> None:
    images_at(tmp_path / "export" / "images", "1.png", "2.png")
    (tmp_path / "export" / "labels").mkdir()
    for number in (1, 2):
        (tmp_path / "export" / "labels" / f"{number}.txt").write_text("0 0.5 0.5 0.5 0.25\n")
    (tmp_path / "export" / "data.yaml").write_text("names: [can]\n")
    convert(tmp_path / "export", tmp_path / "data")
    (record,) = load_split(tmp_path / "data", "train2017", masks=False).records
    np.testing.assert_allclose(record.boxes, [[15, 15, 45, 25]])


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("0 0.1 0.2 0.3", "1.txt:1: 3 numbers after the class"),
        ("7 0.1 0.1 0.2 0.2", "class 7 has no name"),
        ("zero", "not a row of numbers"),
    ],
)
def test_a_bad_row_of_yolo_is_one_line_with_its_place(
    row: str, words: str, tmp_path: Path, convert: Convert
) -> None:
    images_at(tmp_path / "export" / "images", "1.png")
    (tmp_path / "export" / "labels").mkdir()
    (tmp_path / "export" / "labels" / "1.txt").write_text(row)
    (tmp_path / "export" / "data.yaml").write_text("names: [can]\n")
    code, stderr = convert(tmp_path / "export", tmp_path / "data")
    assert code == 1
    assert words in stderr and stderr.count("\n") == 1
    assert not (tmp_path / "data").exists()


def test_images_of_one_name_in_different_directories_do_not_overwrite_each_other(
    tmp_path: Path, convert: Convert
) -> None:
    names = ["cam1/1.png", "cam2/1.png", "cam3/1.png"]
    images_at(tmp_path / "export", *names)
    for number, name in enumerate(names, start=1):
        cv2.imwrite(str(tmp_path / "export" / name), np.full((HEIGHT, WIDTH, 3), number, np.uint8))
    write_json(tmp_path / "export" / "result.json", coco(names))
    convert(tmp_path / "export", tmp_path / "data")
    records = [record for split in splits_of(tmp_path / "data") for record in split.records]
    assert sorted(int(record.read()[0, 0, 0]) for record in records) == [1, 2, 3]


def test_missing_images_are_counted_and_nothing_is_written(tmp_path: Path, convert: Convert) -> None:
    images_at(tmp_path / "export", "1.png")
    write_json(tmp_path / "export" / "result.json", coco(["1.png", "2.png", "3.png"]))
    code, stderr = convert(tmp_path / "export", tmp_path / "data")
    assert code == 1
    assert "2 of 3 images are not found exactly once" in stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export"]


def test_an_existing_directory_is_never_overwritten(tmp_path: Path, convert: Convert) -> None:
    images_at(tmp_path / "export", "1.png", "2.png")
    write_json(tmp_path / "export" / "result.json", coco(["1.png", "2.png"]))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "mine.txt").write_text("mine")
    code, stderr = convert(tmp_path / "export", tmp_path / "data")
    assert code == 1
    assert "already exists" in stderr
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine.txt"]


def test_a_source_of_no_known_format_is_one_line(tmp_path: Path, convert: Convert) -> None:
    (tmp_path / "notes.json").write_text("[]")
    code, stderr = convert(tmp_path, tmp_path / "data")
    assert code == 1
    assert "no annotations of COCO, LabelMe, VIA (JSON) or YOLO" in stderr


def test_an_interrupted_conversion_leaves_nothing(
    tmp_path: Path, convert: Convert, monkeypatch: pytest.MonkeyPatch
) -> None:
    images_at(tmp_path / "export", "1.png", "2.png")
    write_json(tmp_path / "export" / "result.json", coco(["1.png", "2.png"]))

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("mrc_data.convert.shutil.copyfile", interrupted)
    assert convert(tmp_path / "export", tmp_path / "data")[0] != 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export"]


def test_subsets_of_cvat_may_have_images_of_the_same_name(tmp_path: Path, convert: Convert) -> None:
    for subset in ("train", "val"):
        images_at(tmp_path / "export" / "images" / subset, "1.png")
        write_json(tmp_path / "export" / "annotations" / f"instances_{subset}.json", coco(["1.png"]))
    assert convert(tmp_path / "export", tmp_path / "data")[0] == 0
    for split in splits_of(tmp_path / "data"):
        assert_is_the_rectangle(split, "bottle")
