import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from coco_files import CATEGORIES, annotation, image, write_split
from mrc_cli.staged import WORKSPACE
from mrc_train.config import Config, parse
from mrc_train.data.annotations import EMPTY_BOX, NO_MASK, DataError
from mrc_train.data.categories import Categories
from mrc_train.data.coco import NO_OBJECTS, load_split, training_records
from mrc_train.data.masks import segmentation_to_mask


def config(basedir: Path, *settings: str) -> Config:
    return parse([f"DATA.BASEDIR={basedir}", "DATA.TRAIN=train2017", *settings])


def test_a_split_has_images_with_boxes_as_corners_and_labels_from_1(tmp_path: Path) -> None:
    write_split(tmp_path, [image(7)], [annotation(7, [10, 5, 20, 15], category_id=2)])

    split = load_split(tmp_path, "train2017")

    (record,) = split.records
    assert (record.image_id, record.height, record.width) == (7, 40, 60)
    assert record.path == tmp_path / "train2017" / "7.png"
    np.testing.assert_array_equal(record.boxes, np.array([[10, 5, 30, 20]], np.float32))
    assert record.boxes.dtype == np.float32
    np.testing.assert_array_equal(record.labels, np.array([2], np.int32))
    assert split.categories == Categories(("disc", "plate"), (1, 2))
    assert split.categories.num_classes == 3
    assert record.read().shape == (40, 60, 3)


def test_tensorpacks_name_of_a_split_means_the_same_directory(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9])])
    assert (
        load_split(tmp_path, "coco_train2017").annotation_file
        == load_split(tmp_path, "train2017").annotation_file
    )


def test_cocos_own_91_ids_become_80_labels_and_back(tmp_path: Path) -> None:
    absent = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}  # from the COCO paper's 91 to the data set's 80
    ids = [number for number in range(1, 91) if number not in absent]
    shuffled = [{"id": number, "name": f"class {number}"} for number in reversed(ids)]
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9], category_id=90)], categories=shuffled)

    categories = load_split(tmp_path, "train2017").categories

    assert [categories.label_of(number) for number in (1, 11, 13, 44, 46, 90)] == [1, 11, 12, 40, 41, 80]
    assert [categories.id_of(label) for label in (1, 11, 12, 40, 41, 80)] == [1, 11, 13, 44, 46, 90]
    assert categories.name_of(80) == "class 90"
    assert categories.num_classes == 81


def test_category_ids_may_start_at_0_and_have_gaps(tmp_path: Path) -> None:
    categories = [{"id": 0, "name": "zero"}, {"id": 1000, "name": "thousand"}]
    objects = [annotation(1, [0, 0, 9, 9], 0), annotation(1, [9, 9, 9, 9], 1000)]
    write_split(tmp_path, [image(1)], objects, categories=categories)
    (record,) = load_split(tmp_path, "train2017").records
    assert record.labels.tolist() == [1, 2]


@pytest.mark.parametrize("label", [0, 3, -1])
def test_the_background_and_other_labels_have_no_category_id(label: int) -> None:
    with pytest.raises(IndexError):
        Categories(("disc", "plate"), (1, 2)).id_of(label)


Content = dict[str, Any]


def without(key: str) -> Callable[[Content], None]:
    return lambda content: content.pop(key)


def setting(where: str, index: int, **values: Any) -> Callable[[Content], None]:
    return lambda content: content[where][index].update(values)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (without("images"), "no list of objects 'images'"),
        (without("annotations"), "no list of objects 'annotations'"),
        (lambda c: c.update(categories="all"), "no list of objects 'categories'"),
        (lambda c: c.update(categories=[]), "'categories' is empty"),
        (lambda c: c.update(images=[], annotations=[]), "'images' is empty"),
        (setting("images", 0, id=2), "image id 2 is given to more than one image"),
        (setting("categories", 0, id=2), "category id 2 is given to more than one category"),
        (setting("images", 0, file_name="gone.png"), "1 of 2 images in "),
        (setting("images", 0, file_name="gone.png"), "such as gone.png"),
        (setting("images", 1, height=0), "image 2 is 60 x 0 pixels"),
        (setting("images", 1, width="60"), "image number 2 has width='60', expected an integer"),
        (setting("categories", 1, name=None), "category number 2 has name=None, expected a string"),
        (setting("annotations", 1, image_id=99), "number 2 (id 2) is of image 99, which is not in 'images'"),
        (
            setting("annotations", 0, category_id=99),
            "(id 1) is of category 99, which is not in 'categories'",
        ),
        (
            setting("annotations", 1, image_id=[1]),
            "number 2 (id 2) has image_id=[1], expected an integer",
        ),
        (setting("annotations", 0, bbox=[1, 2, 3]), "number 1 (id 1) has no 'bbox' of four numbers"),
        (lambda c: c["annotations"][0].pop("bbox"), "number 1 (id 1) has no 'bbox' of four numbers"),
    ],
)
def test_a_file_that_contradicts_itself_is_one_clear_error(
    tmp_path: Path, damage: Callable[[Content], None], message: str
) -> None:
    file = write_split(
        tmp_path, [image(1), image(2)], [annotation(1, [0, 0, 9, 9]), annotation(2, [0, 0, 9, 9], 2)]
    )
    content = json.loads(file.read_text())
    damage(content)
    file.write_text(json.dumps(content))

    with pytest.raises(DataError) as error:
        load_split(tmp_path, "train2017")

    assert message in str(error.value)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not a JSON file"), ("[]", "not a COCO instances file"), ("\xff", "not a JSON file")],
)
def test_a_file_that_is_not_cocos_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    write_split(tmp_path, [image(1)], []).write_text(content, encoding="latin-1")
    with pytest.raises(DataError, match=message):
        load_split(tmp_path, "train2017")


def test_a_missing_annotation_file_names_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"instances_train2017.json: No such file.*DATA.BASEDIR needs"):
        load_split(tmp_path, "train2017")


def test_a_missing_image_directory_is_named(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [])
    (tmp_path / "train2017").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="train2017: directory not found"):
        load_split(tmp_path, "train2017")


def test_images_may_be_in_subdirectories(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1, file_name="north/1.png"), image(2, file_name="south/1.png")], [])
    assert [record.path.parent.name for record in load_split(tmp_path, "train2017").records] == [
        "north",
        "south",
    ]


def test_images_are_checked_with_one_directory_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_split(tmp_path, [image(number) for number in range(1, 30)], [])
    listed: list[Any] = []
    real_scandir, real_stat = os.scandir, os.stat
    stat_paths: list[Any] = []
    monkeypatch.setattr(os, "scandir", lambda path: (listed.append(path), real_scandir(path))[1])
    monkeypatch.setattr(os, "stat", lambda path, **kw: (stat_paths.append(path), real_stat(path, **kw))[1])
    load_split(tmp_path, "train2017")
    monkeypatch.undo()
    assert len(listed) == 1
    assert not [path for path in stat_paths if str(path).endswith(".png")]


FULL_RLE = {"size": [40, 60], "counts": [0, 2400]}


@pytest.mark.parametrize(
    ("damaged", "reason"),
    [
        (annotation(1, [5, 5, 0, 10]), EMPTY_BOX),
        (annotation(1, [5, 5, 10, -3]), EMPTY_BOX),
        (annotation(1, [60, 5, 10, 10]), EMPTY_BOX),
        (annotation(1, [5, -10, 10, 10]), EMPTY_BOX),
        (annotation(1, [5, 5, float("nan"), 10]), EMPTY_BOX),
        (annotation(1, [5, 5, 9, 9], segmentation=[]), NO_MASK),
        (annotation(1, [5, 5, 9, 9], segmentation=None), NO_MASK),
        (annotation(1, [5, 5, 9, 9], segmentation=[[5, 5, 9, 9]]), NO_MASK),
        (annotation(1, [5, 5, 9, 9], segmentation={**FULL_RLE, "size": [60, 40]}), NO_MASK),
        (annotation(1, [5, 5, 9, 9], segmentation={**FULL_RLE, "counts": [0, 2399]}), NO_MASK),
    ],
)
def test_an_unusable_object_is_left_out_and_counted(
    tmp_path: Path, damaged: dict[str, Any], reason: str
) -> None:
    write_split(tmp_path, [image(1)], [damaged, annotation(1, [1, 1, 9, 9], 2)])

    split = load_split(tmp_path, "train2017")

    assert split.records[0].labels.tolist() == [2]
    assert len(split.records[0].segmentations) == 1
    assert split.dropped == {reason: 1}
    assert f"left out 1 {reason}" in split.summary()


def test_an_object_without_a_segmentation_is_used_without_masks(tmp_path: Path) -> None:
    entry = annotation(1, [5, 5, 9, 9])
    del entry["segmentation"]
    write_split(tmp_path, [image(1)], [entry])
    split = load_split(tmp_path, "train2017", masks=False)
    assert split.dropped == {}
    assert len(split.records[0].boxes) == 1


def test_a_box_that_extends_beyond_the_image_is_clipped(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [-5, -5, 500, 500])])
    np.testing.assert_array_equal(load_split(tmp_path, "train2017").records[0].boxes, [[0, 0, 60, 40]])


def test_a_crowd_is_kept_marked_and_not_counted_among_the_objects(tmp_path: Path) -> None:
    objects = [annotation(1, [0, 0, 9, 9]), annotation(1, [0, 0, 60, 40], iscrowd=1, segmentation=FULL_RLE)]
    write_split(tmp_path, [image(1)], objects)
    split = load_split(tmp_path, "train2017")
    (record,) = split.records
    assert record.crowd.tolist() == [False, True]
    assert segmentation_to_mask(record.segmentations[1], 40, 60).all()
    assert split.objects_per_class().tolist() == [1, 0]
    assert "1 objects and 1 crowds of 2 classes" in split.summary()


def test_images_without_objects_are_left_out_of_training_and_kept_in_validation(tmp_path: Path) -> None:
    crowd = annotation(3, [0, 0, 60, 40], iscrowd=1, segmentation=FULL_RLE)
    write_split(tmp_path, [image(1), image(2), image(3)], [annotation(1, [0, 0, 9, 9]), crowd])

    training = training_records(config(tmp_path))
    assert [record.image_id for record in training.records] == [1]
    assert training.dropped == {NO_OBJECTS: 2}
    assert len(training_records(config(tmp_path, "DATA.FILTER_EMPTY_ANNOTATIONS=False")).records) == 3
    assert len(load_split(tmp_path, "train2017").records) == 3


def test_a_class_without_objects_is_named_in_the_summary(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9], 1)])
    assert "no object of plate" in load_split(tmp_path, "train2017").summary()


def test_the_summary_has_the_objects_of_each_class(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9], 2)] * 3 + [annotation(1, [0, 0, 9, 9], 1)])
    first, table = load_split(tmp_path, "train2017").summary().splitlines()
    assert first == "train2017: 1 images, 4 objects of 2 classes"
    assert table.split() == ["disc", "1", "plate", "3"]


def test_training_splits_are_joined(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 9, 9])])
    write_split(tmp_path, [image(1), image(2)], [annotation(2, [0, 0, 9, 0])], name="more")
    training = training_records(
        config(tmp_path, "DATA.TRAIN=['train2017', 'more']", "DATA.FILTER_EMPTY_ANNOTATIONS=False")
    )
    assert training.name == "train2017 + more"
    assert [str(record.path.relative_to(tmp_path)) for record in training.records] == [
        "train2017/1.png",
        "more/1.png",
        "more/2.png",
    ]
    assert training.dropped == {EMPTY_BOX: 1}


def test_training_splits_with_different_categories_are_rejected(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [])
    write_split(tmp_path, [image(1)], [], name="more", categories=[CATEGORIES[0], {"id": 2, "name": "dish"}])
    with pytest.raises(DataError, match="more has category 2 'dish' where train2017 has 'plate'"):
        training_records(config(tmp_path, "DATA.TRAIN=['train2017', 'more']"))


def test_nothing_left_to_train_on_is_an_error(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [annotation(1, [0, 0, 0, 0])])
    with pytest.raises(DataError, match="train2017: no image with an object is left"):
        training_records(config(tmp_path))


def test_real_photos_have_the_objects_that_their_readme_counts() -> None:
    directory = os.environ.get("MRC_TEST_PHOTOS")
    if not directory:
        pytest.skip("MRC_TEST_PHOTOS names no directory of photos")
    splits = [load_split(Path(directory), name) for name in ("train2017", "val2017")]
    assert [len(split.records) for split in splits] == [14, 4]
    assert sum(int(split.objects_per_class().sum()) for split in splits) == 165
    assert splits[0].categories == Categories(("date", "fig", "hazelnut"), (1, 2, 3))
    assert all(not split.dropped for split in splits)


@pytest.mark.parametrize("name", ["../other/1.png", "..\\\\1.png", "sub/../../1.png"])
def test_a_file_name_outside_the_splits_directory_is_rejected(name: str, tmp_path: Path) -> None:
    (tmp_path / "train2017").mkdir()
    (tmp_path / "annotations").mkdir()
    entry = {"id": 3, "file_name": name, "height": 40, "width": 60}
    content = {"images": [entry], "annotations": [], "categories": [{"id": 1, "name": "disc"}]}
    (tmp_path / "annotations" / "instances_train2017.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"image 3: {re.escape(name)} leaves the split's directory"):
        load_split(tmp_path, "train2017")


def test_a_data_set_that_is_being_staged_is_rejected_with_the_way_to_resume(tmp_path: Path) -> None:
    write_split(tmp_path, [image(1)], [])
    (tmp_path / WORKSPACE / "tree").mkdir(parents=True)
    with pytest.raises(DataError, match=r"not completely staged\. Run its stage-data job or mrc-stage stage"):
        load_split(tmp_path, "train2017")
