"""mrc-data check: what loading would find, and what the images show, without training."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from coco_files import annotation, image, with_exif_rotation, write_image, write_split
from mrc_data.cli import main
from mrc_train.data.problems import RULES
from tiny import run

OBJECTS = [annotation(1, [5, 5, 20, 15]), annotation(2, [10, 10, 30, 20], 2)]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("train2017", "val2017"):
        write_split(tmp_path, [image(1), image(2)], OBJECTS, split)
    return tmp_path


def changed(data: Path, change: Callable[[dict[str, Any]], object], split: str = "train2017") -> Path:
    file = data / "annotations" / f"instances_{split}.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    return file


Findings = list[dict[str, Any]]
Check = Callable[..., tuple[int, Findings]]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Check:
    """Run mrc-data check; returns the exit code and the findings."""

    def checked(*arguments: str | Path) -> tuple[int, Findings]:
        words = ["mrc-data", "check", *map(str, arguments), "--format", "json"]
        monkeypatch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), json.loads(capfd.readouterr().out)

    return checked


def test_good_data_have_no_findings(data: Path, check: Check) -> None:
    assert check(data) == (0, [])


def test_every_error_is_found_in_one_check_with_its_path_and_count(data: Path, check: Check) -> None:
    def damage(content: dict[str, Any]) -> None:
        content["annotations"] += [{"id": 9}, {"id": 10}, {**OBJECTS[0], "category_id": 77}]
        content["images"].append({"id": 3, "file_name": "gone.png", "height": 40, "width": 60})
        content["images"].append({"id": 3})

    file = changed(data, damage)
    code, findings = check(data)
    assert code == 1
    assert {(finding["file"], finding["rule"], finding["value"]) for finding in findings} == {
        (str(file), "MRD003", "images[3].id"),
        (str(file), "MRD004", "annotations[2].image_id"),
        (str(file), "MRD004", "annotations[4].category_id"),
        (str(file), "MRD010", "images[2].file_name"),
    }
    (repeated,) = [finding for finding in findings if finding["value"] == "annotations[2].image_id"]
    assert "2 entries are like that" in repeated["message"]


def test_what_training_leaves_out_is_counted_with_the_reason(data: Path, check: Check) -> None:
    changed(data, lambda content: content["annotations"][1].update(segmentation=[1, 2, 3, 4, 5, 6]))
    code, findings = check(data)
    assert code == 0
    by_rule = {finding["rule"]: finding for finding in findings}
    assert by_rule["MRD021"]["value"] == "annotations[1].segmentation"
    assert "1 of 2 objects" in by_rule["MRD021"]["message"]
    assert "1 a flat list of numbers in place of a list of polygons" in by_rule["MRD021"]["message"]
    assert "MODE_MASK=False" in by_rule["MRD021"]["fix"]
    assert "plate" in by_rule["MRD026"]["message"]


def test_boxes_alone_are_fine_when_boxes_alone_are_trained(data: Path, check: Check) -> None:
    for split in ("train2017", "val2017"):
        changed(
            data, lambda content: [finding.pop("segmentation") for finding in content["annotations"]], split
        )
    assert [finding["rule"] for finding in check(data)[1]].count("MRD006") == 2
    assert check(data, "--boxes") == (0, [])


def test_warnings_fail_only_a_strict_check(data: Path, check: Check) -> None:
    changed(data, lambda content: content["annotations"][1].update(bbox=[30, 10, 60, 20]))
    assert check(data)[0] == 0
    assert check(data, "--strict")[0] == 1


def test_files_that_are_no_images_are_counted(data: Path, check: Check) -> None:
    (data / "train2017" / "2.png").write_text("not an image")
    code, (finding,) = check(data)
    assert code == 0
    assert (finding["rule"], finding["value"]) == ("MRD012", "images[1].file_name")
    assert "1 of 2 images cannot be decoded" in finding["message"]


def test_a_resized_image_is_named_with_the_scale(data: Path, check: Check) -> None:
    write_image(data / "train2017" / "2.png", 80, 120)
    (finding,) = check(data)[1]
    assert finding["rule"] == "MRD013"
    assert "120 x 80 pixels, annotated as 60 x 40" in finding["message"]
    assert "resized by 2" in finding["fix"]


def test_a_rotated_image_is_named_as_such(data: Path, check: Check) -> None:
    write_image(data / "train2017" / "2.png", 60, 40)
    (finding,) = check(data)[1]
    assert "rotated" in finding["fix"]


def test_an_image_that_exif_rotates_is_fine_with_either_size(data: Path, check: Check) -> None:
    jpeg = with_exif_rotation(np.zeros((40, 60, 3), np.uint8))
    for name in ("1.png", "2.png"):  # the name does not matter to the decoder
        (data / "train2017" / name).write_bytes(jpeg)
    assert check(data) == (0, [])


def test_only_a_sample_of_many_images_is_decoded_unless_all_are_asked_for(data: Path, check: Check) -> None:
    for name in ("1.png", "2.png"):
        (data / "train2017" / name).write_text("not an image")
    assert "1 of 1 images" in check(data, "--decode", "1")[1][0]["message"]
    assert check(data, "--decode", "0")[1] == []
    assert "2 of 2 images" in check(data, "--decode", "1", "--all-images")[1][0]["message"]


def test_other_categories_in_another_split_are_an_error(data: Path, check: Check) -> None:
    changed(data, lambda content: content["categories"][0].update(name="lid"), "val2017")
    code, (finding,) = check(data)
    assert code == 1
    assert finding["rule"] == "MRD005"
    assert "category 1 'lid' where train2017 has 'disc'" in finding["message"]


def test_one_annotation_file_is_checked_with_its_images(tmp_path: Path, check: Check) -> None:
    file = write_split(tmp_path, [image(1)], [OBJECTS[0], annotation(1, [2, 2, 9, 9], 2)])
    assert check(file) == (0, [])
    moved = tmp_path / "_annotations.coco.json"
    file.rename(moved)
    assert [finding["rule"] for finding in check(moved)[1]] == ["MRD010"]
    assert check(moved, "--images", tmp_path / "train2017") == (0, [])


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not a JSON file"),
        ('{"shapes": [], "imagePath": "1.jpg"}', "LabelMe"),
        ('{"1.jpg1": {"filename": "1.jpg", "regions": []}}', "VGG Image Annotator"),
        ('[{"id": 1, "data": {"image": "1.jpg"}}]', "Label Studio"),
    ],
)
def test_a_file_of_another_format_is_one_error_that_names_the_tool(
    content: str, words: str, tmp_path: Path, check: Check
) -> None:
    file = tmp_path / "export.json"
    file.write_text(content)
    code, (finding,) = check(file)
    assert (code, finding["rule"]) == (1, "MRD001")
    assert words in finding["message"]


def test_a_directory_without_the_layout_is_one_error(tmp_path: Path, check: Check) -> None:
    code, (finding,) = check(tmp_path)
    assert (code, finding["rule"]) == (1, "MRD007")


def test_the_sheet_shows_boxes_and_masks_where_they_are(tmp_path: Path, check: Check) -> None:
    write_split(tmp_path, [image(1, 100, 200)], [annotation(1, [20, 20, 60, 40])])
    black = np.zeros((100, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "train2017" / "1.png"), black)
    sheet = tmp_path / "sheet.png"
    check(tmp_path, "--sheet", sheet)
    drawn = cv2.imread(str(sheet))
    assert drawn is not None
    height, width = drawn.shape[:2]
    assert width == 480  # the image is enlarged by 2.4, below a heading
    heading = height - 240
    assert drawn[heading + round(40 * 2.4), round(50 * 2.4)].any()  # in the mask
    assert not drawn[heading + round(80 * 2.4), round(150 * 2.4)].any()  # in neither


def test_sarif_and_github_formats_name_the_rule(data: Path) -> None:
    (data / "train2017" / "2.png").unlink()
    sarif = json.loads(run("mrc-data", "check", str(data), "--format", "sarif").stdout)
    (rule,) = sarif["runs"][0]["tool"]["driver"]["rules"]
    assert rule["id"] == "MRD010"
    github = run("mrc-data", "check", str(data), "--format", "github")
    assert github.stdout.startswith("::error title=MRD010 images[1].file_name::")
    assert github.returncode == 1


def test_tensorflow_is_not_imported(data: Path) -> None:
    code = (
        "import sys; sys.argv = ['mrc-data', 'check', sys.argv[1]]\n"
        "from mrc_data.cli import main\n"
        "try: main()\n"
        "finally: assert 'tensorflow' not in sys.modules and 'tensorpack' not in sys.modules"
    )
    checked = run("python", "-c", code, str(data))
    assert (checked.returncode, checked.stdout) == (0, "")


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_has_an_explanation(rule: str) -> None:
    info = RULES[rule]
    assert info.id == rule
    assert all((info.title, info.why, info.failing, info.passing))
