"""mrc-predict: which images it reads, where it writes, and how it ends."""

import json
import shutil
from pathlib import Path

import coco_files
import pytest
import tiny
from mrc_cli.errors import UserError
from mrc_train.prediction_files import check_output_directory, check_output_file, find_images, result_names


def test_directories_and_patterns_stand_for_their_images_each_once(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", "notes.txt", "deep/c.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    arguments = [tmp_path, tmp_path / "*.png", tmp_path / "**/*.webp", tmp_path / "gone.png"]
    images = find_images([str(argument) for argument in arguments])
    assert [path.name for path in images] == ["a.png", "b.JPG", "c.webp", "gone.png"]


@pytest.mark.parametrize("argument", ["", "*.jpg"])
def test_a_directory_or_pattern_without_images_is_an_error(argument: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no image in this directory|no file matches this pattern"):
        find_images([str(tmp_path / argument)])


def test_a_file_name_with_brackets_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "a[1].png").touch()
    assert find_images([str(tmp_path / "a[1].png")]) == [tmp_path / "a[1].png"]


@pytest.mark.parametrize(
    ("images", "names"),
    [
        (["a/1.png", "a/2.png"], ["1", "2"]),
        (["cam1/0001.jpg", "cam2/0001.jpg", "cam2/0002.jpg"], ["cam1-0001.jpg", "cam2-0001.jpg", "0002"]),
        (["1.png", "1.jpg"], ["1.png", "1.jpg"]),
        (["/x/cam1/1.png", "/y/cam1/1.png"], ["x-cam1-1.png", "y-cam1-1.png"]),
        (["a-b/1.png", "a/b-1.png", "c/1.png"], ["a-b-1.png", "b-1", "c-1.png"]),
    ],
)
def test_images_of_one_name_get_different_result_names(images: list[str], names: list[str]) -> None:
    assert result_names([Path(image) for image in images]) == names


def test_an_output_that_cannot_be_written_is_found_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file; name a directory"):
        check_output_directory(tmp_path / "file")
    with pytest.raises(UserError, match="is a directory; name a file in it"):
        check_output_file(tmp_path)
    check_output_file(tmp_path / "new" / "out.json")
    assert (tmp_path / "new").is_dir()


def test_all_readable_images_are_predicted_when_one_cannot_be_read(
    finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    scene = sorted((tiny_scenes / "val2017").iterdir())[0]
    for camera in ("cam1", "cam2"):
        (tmp_path / camera).mkdir()
        shutil.copy(scene, tmp_path / camera / "0001.jpg")
    (tmp_path / "cam1" / "broken.png").write_bytes(b"not an image")
    done = tiny.predict(
        *("--load", finished, "--predict", tmp_path / "cam*", tmp_path / "cam1", tmp_path / "cam2"),
        *("--output", tmp_path / "out", "--json", tmp_path / "out.json"),
        *("--config", "TEST.RESULT_SCORE_THRESH_VIS=0"),
    )
    assert done.returncode == 1
    assert "broken.png: not an image that OpenCV can decode\n" in done.stderr
    assert done.stderr.endswith("mrc-predict: error: 1 of 3 images could not be read\n")
    drawings = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert drawings == ["cam1-0001.jpg-detections.png", "cam2-0001.jpg-detections.png"]
    first, second = json.loads((tmp_path / "out.json").read_text())
    assert first["image"] == str(tmp_path / "cam1" / "0001.jpg")
    assert first["detections"] == second["detections"] != []
    assert set(first["detections"][0]) == {"category", "category_id", "bbox", "score", "segmentation"}


def test_evaluating_on_other_classes_or_no_split_is_rejected(finished: Path, tmp_path: Path) -> None:
    objects = [coco_files.annotation(1, [5, 5, 20, 20])]
    coco_files.write_split(tmp_path, [coco_files.image(1)], objects, name="val2017")
    command = ("--load", finished, "--evaluate", tmp_path / "out.json", "--config")
    other = tiny.predict(*command, f"DATA.BASEDIR={tmp_path}")
    assert other.returncode == 1
    assert other.stderr == (
        f"mrc-predict: error: val2017 has category 1 'disc' where {finished / 'model-6'} has 'circle': use "
        "data with the same categories\n"
    )
    nothing = tiny.predict(*command, "DATA.VAL=[]", "TRAIN.EVAL_PERIOD=0")
    assert nothing.returncode == 1
    assert "DATA.VAL names no split to evaluate on" in nothing.stderr
    assert not (tmp_path / "out.json").exists()
