"""Annotation files as other tools write them: used as they were meant, or rejected in one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from coco_files import annotation, image, write_split
from mrc_train.config import parse
from mrc_train.data.annotations import EMPTY_BOX, NO_MASK, DataError
from mrc_train.data.coco import Split, load_split, training_records
from mrc_train.data.masks import encode_rle, segmentation_to_mask
from mrc_train.evaluation.coco_metrics import evaluate

Content = dict[str, Any]


def split_with(directory: Path, change: Callable[[Content], object]) -> Split:
    """A split of two images with one object each, after a change to its annotation file."""
    objects = [annotation(1, [10, 5, 20, 15]), annotation(2, [8, 6, 20, 15], 2)]
    file = write_split(directory, [image(1), image(2)], objects)
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return load_split(directory, "train2017")


def everywhere(where: str, **values: Any) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        for entry in content[where]:
            entry.update(values)

    return change


def first(where: str, **values: Any) -> Callable[[Content], None]:
    return lambda content: content[where][0].update(values)


def rle_with_float_counts(content: Content) -> None:
    # Rows 5 to 19 of columns 10 to 29, column by column.
    counts = [10 * 40 + 5, *[15, 25] * 19, 15, 30 * 40 + 20]
    content["annotations"][0]["segmentation"] = {"size": [40, 60], "counts": [float(run) for run in counts]}


def renumbered(where: str, reference: str, number: int) -> Callable[[Content], None]:
    def change(content: Content) -> None:
        content[where][0]["id"] = content["annotations"][0][reference] = number

    return change


def perfect_results(split: Split) -> list[Content]:
    results = []
    for record in split.records:
        for box, label, segmentation in zip(
            record.boxes.tolist(), record.labels, record.segmentations, strict=True
        ):
            x1, y1, x2, y2 = box
            results.append(
                {
                    "image_id": record.image_id,
                    "category_id": split.categories.id_of(int(label)),
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": 0.9,
                    "segmentation": encode_rle(segmentation_to_mask(segmentation, 40, 60)),
                }
            )
    return results


@pytest.mark.parametrize(
    "change",
    [
        everywhere("images", date_captured=0, license="MIT", coco_url=7, flickr_url=None),
        lambda content: content.update(info=3, licenses="none"),
        everywhere("annotations", iscrowd=None),
        everywhere("annotations", iscrowd="0"),
        everywhere("annotations", iscrowd=False),
        everywhere("annotations", area="300.0"),
        everywhere("annotations", area=None),
        everywhere("annotations", id="a"),
        everywhere("annotations", attributes={"occluded": False}),
        everywhere("images", height=40.0, width=60.0),
        renumbered("images", "image_id", -1),
        renumbered("images", "image_id", (1 << 63) - 1),
        renumbered("categories", "category_id", -1),
        renumbered("categories", "category_id", 1 << 40),
        rle_with_float_counts,
    ],
)
def test_the_output_of_other_tools_is_trained_on_and_scored(
    change: Callable[[Content], object], tmp_path: Path
) -> None:
    split = split_with(tmp_path, change)
    assert split.objects_per_class().tolist() == [1, 1]
    assert not split.dropped
    metrics = evaluate(split.annotation_file, perfect_results(split), masks=True)
    assert metrics["bbox/AP"] == metrics["segm/AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (first("annotations", bbox=[500, 500, 20, 20]), EMPTY_BOX),
        (first("annotations", bbox=[60.0, 10.0, 1.4210854715202004e-14, 20.0]), EMPTY_BOX),
        (first("annotations", bbox=[30.0, 10.0, 1e-3, 20.0]), EMPTY_BOX),
        (first("annotations", bbox=[10, 5, 10**400, 15]), EMPTY_BOX),
        (first("annotations", bbox=[float("nan"), 5, 20, 15]), EMPTY_BOX),
        (first("annotations", segmentation=[]), NO_MASK),
        (first("annotations", segmentation=[7, 8, 32, 8, 32, 33, 7, 33]), NO_MASK),
        (first("annotations", segmentation=[[7, 8, 30, 8, 20, 8]]), NO_MASK),
        (first("annotations", segmentation=[[200, 200, 240, 200, 240, 230]]), NO_MASK),
        (first("annotations", segmentation={"size": [40, 60], "counts": [2400]}), NO_MASK),
        (first("annotations", segmentation={"size": [40, 60], "counts": [None, True]}), NO_MASK),
        (first("annotations", segmentation={"size": [40, 60], "counts": "\u0160" * 9}), NO_MASK),
        (first("annotations", segmentation={"size": [40, 60], "counts": "o" * 100_000}), NO_MASK),
    ],
)
def test_training_and_evaluation_leave_out_the_same_objects(
    change: Callable[[Content], object], reason: str, tmp_path: Path
) -> None:
    split = split_with(tmp_path, change)
    assert split.dropped == {reason: 1}
    metrics = evaluate(split.annotation_file, perfect_results(split), masks=True)
    assert metrics["bbox/AP"] == metrics["segm/AP"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            renumbered("images", "image_id", 1 << 63),
            "has id=9223372036854775808, expected an integer of at most 64",
        ),
        (renumbered("images", "image_id", 10**4000), "..., expected an integer of at most 64 bits"),
        (first("images", id=True), "image number 1 has id=True, expected an integer"),
        (first("images", height=40.5), "image number 1 has height=40.5, expected an integer"),
        (first("annotations", bbox=[True, 5, 20, 15]), "has no 'bbox' of four numbers"),
    ],
)
def test_an_unusable_value_is_an_error_of_one_line(
    change: Callable[[Content], object], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as error:
        split_with(tmp_path, change)
    assert message in str(error.value) and str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_a_file_that_is_nested_too_deeply_is_one_line(tmp_path: Path) -> None:
    file = write_split(tmp_path, [image(1)], [])
    file.write_text("[" * 100_000)
    with pytest.raises(DataError, match="nested too deeply"):
        load_split(tmp_path, "train2017")


def test_a_lone_surrogate_in_a_class_name_can_be_written_anywhere(tmp_path: Path) -> None:
    split = split_with(tmp_path, first("categories", name="dis\ud800c"))
    assert split.categories.names[0] == "dis\\ud800c"
    split.summary().encode()


def test_categories_of_the_same_name_stay_distinct_and_are_noted_once(tmp_path: Path) -> None:
    split = split_with(tmp_path, everywhere("categories", name="red"))
    assert split.categories.names == ("red (id 1)", "red (id 2)")
    assert split.summary().count("2 categories are called red") == 1


def test_when_nothing_is_left_to_train_on_the_reason_and_the_fix_are_named(tmp_path: Path) -> None:
    split_with(tmp_path, everywhere("annotations", segmentation=[]))
    with pytest.raises(DataError) as error:
        training_records(parse([f"DATA.BASEDIR={tmp_path}", "DATA.TRAIN=train2017"]))
    assert str(error.value) == (
        "train2017: no image with an object is left to train on; left out 2 objects without a "
        "usable segmentation; left out 2 training images without objects; set MODE_MASK=False to train on "
        "boxes alone"
    )


@pytest.mark.parametrize(
    ("named", "file"),
    [
        ("sub\\1.png", "sub/1.png"),
        ("train2017/1.png", "1.png"),
        ("train2017\\1.png", "1.png"),
        ("my%20image.png", "my image.png"),
    ],
)
def test_a_file_name_as_other_systems_write_it_is_resolved_and_noted(
    named: str, file: str, tmp_path: Path
) -> None:
    annotation_file = write_split(tmp_path, [image(1, file_name=file)], [])
    content = json.loads(annotation_file.read_text())
    content["images"][0]["file_name"] = named
    annotation_file.write_text(json.dumps(content))
    split = load_split(tmp_path, "train2017")
    assert split.records[0].path == tmp_path / "train2017" / file
    assert f"1 file names are read differently, such as {named} as {file}" in split.summary()


def test_a_missing_image_is_reported_with_the_most_similar_file(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1, file_name="IMG_0001.png")], [])
    (tmp_path / "train2017" / "IMG_0001.png").rename(tmp_path / "train2017" / "img_0001.JPG")
    with pytest.raises(DataError, match=r"such as IMG_0001\.png; did you mean img_0001\.JPG\?$"):
        load_split(tmp_path, "train2017")
