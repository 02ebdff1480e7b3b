import json
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
import pytest
from mrc_train.data.coco import load_split
from mrc_train.data.masks import segmentation_to_mask
from mrc_train.scenes import (
    MIN_VISIBLE,
    SHAPES,
    Arguments,
    ScenesError,
    draw_scene,
    exact_segmentation,
    main,
    make_scenes,
    outline,
)
from pycocotools.coco import COCO

FEW = Arguments(train=12, val=3, size=64, seed=7)


def made(directory: Path, arguments: Arguments = FEW) -> Path:
    for _ in make_scenes(directory, arguments):
        pass
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("few"))


def test_the_trainer_reads_the_directory_as_a_coco_data_set(few: Path) -> None:
    splits = [load_split(few, name) for name in ("train2017", "val2017")]
    assert [len(split.records) for split in splits] == [12, 3]
    assert splits[0].categories.names == SHAPES
    for split in splits:
        assert not split.dropped
        for record in split.records:
            assert record.read().shape == (64, 64, 3)
            assert 2 <= len(record.labels) <= 5


def test_the_file_holds_the_drawn_masks_to_the_pixel(few: Path) -> None:
    coco = COCO(few / "annotations" / "instances_train2017.json")
    for number in range(1, FEW.train + 1):
        scene = draw_scene(np.random.default_rng([FEW.seed, 0, number]), FEW.size)
        annotations = coco.imgToAnns[number]
        assert [annotation["category_id"] for annotation in annotations] == scene.labels
        for annotation, mask in zip(annotations, scene.masks, strict=True):
            np.testing.assert_array_equal(coco.annToMask(annotation), mask)
            rows, columns = mask.nonzero()
            x, y, width, height = annotation["bbox"]
            assert (x, y) == (columns.min(), rows.min())
            assert (x + width, y + height) == (columns.max() + 1, rows.max() + 1)
            assert annotation["area"] == len(rows)


def test_stored_images_are_close_to_the_drawn_ones(few: Path) -> None:
    for number in range(1, FEW.train + 1):
        scene = draw_scene(np.random.default_rng([FEW.seed, 0, number]), FEW.size)
        stored = cv2.imread(str(few / "train2017" / f"{number:06d}.jpg"))
        assert np.abs(stored.astype(int) - scene.image).mean() < 4


def test_the_same_arguments_draw_the_same_bytes(few: Path, tmp_path: Path) -> None:
    assert contents(made(tmp_path / "again")) == contents(few)


@pytest.mark.parametrize("other", [Arguments(12, 3, 64, seed=8), Arguments(12, 3, size=65, seed=7)])
def test_other_arguments_draw_other_scenes(few: Path, tmp_path: Path, other: Arguments) -> None:
    first = "train2017/000001.jpg"
    assert contents(made(tmp_path / "other", other))[first] != contents(few)[first]


def test_a_scene_does_not_depend_on_the_number_of_scenes(few: Path, tmp_path: Path) -> None:
    fewer = contents(made(tmp_path / "fewer", Arguments(train=2, val=1, size=64, seed=7)))
    for name in ("train2017/000002.jpg", "val2017/000001.jpg"):
        assert fewer[name] == contents(few)[name]


def test_no_scene_is_in_both_splits(few: Path) -> None:
    images = [content for name, content in contents(few).items() if name.endswith(".jpg")]
    assert len(set(images)) == 15


@pytest.mark.parametrize("label", range(1, len(SHAPES) + 1))
def test_every_class_has_its_own_outline(label: int) -> None:
    corners = outline(label, np.zeros(2), 10.0, 0.0)
    area = cv2.contourArea(corners.astype(np.float32))
    # The areas of a circle of radius 10 and of the inscribed square, triangle and five-pointed star.
    expected = {"circle": 314.2, "square": 200.0, "triangle": 129.9, "star": 5 * 10 * 4.5 * np.sin(np.pi / 5)}
    assert area == pytest.approx(expected[SHAPES[label - 1]], rel=0.01)


def test_a_third_of_every_shape_is_visible() -> None:
    for seed in range(30):
        scene = draw_scene(np.random.default_rng(seed), 64)
        assert len(scene.labels) == len(scene.masks)
        owners = np.sum(scene.masks, axis=0)
        assert owners.max() == 1
        assert all(mask.sum() >= MIN_VISIBLE * 15 for mask in scene.masks)


def mask_of(*rows: str) -> np.ndarray:
    return np.array([[cell == "#" for cell in row] for row in rows], np.uint8)


@pytest.mark.parametrize(
    ("mask", "as_polygons"),
    [
        (mask_of("....", ".##.", ".##.", "...."), True),
        (mask_of("....", ".#..", "....", "...."), True),
        (mask_of("####", "####"), True),
        (mask_of("#...", "##..", "###.", "####"), True),
        (mask_of("##..##", "##..##"), True),
        (mask_of("#####", "#...#", "#...#", "#####"), False),
    ],
)
def test_a_mask_becomes_polygons_unless_it_has_a_hole(mask: np.ndarray, as_polygons: bool) -> None:
    segmentation = exact_segmentation(mask)
    assert isinstance(segmentation, list) == as_polygons
    np.testing.assert_array_equal(segmentation_to_mask(segmentation, *mask.shape), mask)


@pytest.mark.parametrize("seed", range(10))
def test_any_mask_is_written_exactly(seed: int) -> None:
    mask = (np.random.default_rng(seed).random((20, 30)) < 0.5).astype(np.uint8)
    np.testing.assert_array_equal(segmentation_to_mask(exact_segmentation(mask), 20, 30), mask)


def test_a_second_call_writes_nothing(tmp_path: Path) -> None:
    directory = made(tmp_path / "scenes")
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*")}
    made(directory)
    assert {path: path.stat().st_mtime_ns for path in directory.rglob("*")} == before


def test_an_interrupted_call_starts_from_scratch(few: Path, tmp_path: Path) -> None:
    directory = tmp_path / "scenes"
    for _ in islice(make_scenes(directory, FEW), 5):
        pass
    (directory / "train2017" / "000002.jpg").write_bytes(b"truncated")
    assert contents(made(directory)) == contents(few)


def test_other_arguments_replace_the_scenes(few: Path, tmp_path: Path) -> None:
    directory = made(tmp_path / "scenes", Arguments(train=20, val=1, size=32))
    assert contents(made(directory)) == contents(few)


def test_a_directory_with_other_content_is_rejected_and_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "train2017").mkdir()
    (tmp_path / "train2017" / "holiday.jpg").write_bytes(b"dear")
    with pytest.raises(ScenesError, match="not empty, and not made by mrc-scenes"):
        made(tmp_path)
    assert contents(tmp_path) == {"train2017/holiday.jpg": b"dear"}


def test_the_command_prints_the_directory_and_its_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "scenes"
    assert main([str(directory), "--train", "3", "--val", "2", "--size", "32", "--seed", "1"]) == 0
    output = capsys.readouterr()
    assert output.out == f"{directory}\n"
    assert output.err.startswith("mrc-scenes: 5/5 scenes in ")
    info = json.loads((directory / "annotations" / "instances_val2017.json").read_text())["info"]
    assert {key: info[key] for key in ("train", "val", "size", "seed")} == {
        "train": 3,
        "val": 2,
        "size": 32,
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--train", "many"], 2, "'many' is not an integer"),
        (["--train", "-1"], 2, "'-1' is not an integer"),
        (["--val", "0"], 1, "a split needs at least 1 scene"),
        (["--size", "8"], 1, "a scene at least 32 pixels"),
    ],
)
def test_wrong_usage_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    try:
        returned = main([str(tmp_path / "scenes"), *arguments])
    except SystemExit as exit_:
        returned = exit_.code
    assert returned == code
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "scenes").exists()


def test_a_directory_that_cannot_be_created_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "file" / "scenes"), "--train", "1", "--val", "1"]) == 1
    assert capsys.readouterr().err.startswith(f"mrc-scenes: {tmp_path / 'file' / 'scenes'}: Not a directory")
