"""Every side file of a run emptied, truncated, binary or of another type: one line, or a result without."""

import json
import shutil
from pathlib import Path

import pytest
from mrc_train.errors import RunDirectoryError
from mrc_train.run_directory import last_evaluation, newest_checkpoint, read_progress, read_statistics
from mrc_train.side_files import read_classes, read_settings
from mrc_viz.report import main

DAMAGES = {
    "emptied": lambda content: b"",
    "truncated": lambda content: content[: len(content) // 2],
    "binary": lambda content: bytes(range(256)),
    "a list": lambda content: b"[[7]]",
    "a number": lambda content: b"7",
    "nested": lambda content: b"[" * 100_000,
}
NEEDED = {"config.yaml": read_settings, "categories.json": read_classes}


def damaged(finished: Path, directory: Path, name: str, damage: str) -> Path:
    run = directory / "run"
    shutil.copytree(finished, run)
    (run / name).write_bytes(DAMAGES[damage]((run / name).read_bytes()))
    return run


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", NEEDED)
def test_a_file_that_prediction_needs_is_named_with_the_reason(
    name: str, damage: str, finished: Path, tmp_path: Path
) -> None:
    run = damaged(finished, tmp_path, name, damage)
    if damage == "truncated" and name == "config.yaml":
        return  # half of the settings may be settings
    with pytest.raises(RunDirectoryError) as error:
        NEEDED[name](run)
    assert str(error.value).startswith(f"{run / name}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["progress.json", "stats.json", "checkpoint", "data.json", "log.log"])
def test_status_reads_what_is_left(name: str, damage: str, finished: Path, tmp_path: Path) -> None:
    run = damaged(finished, tmp_path, name, damage)
    assert newest_checkpoint(run) == "model-6"
    assert (read_progress(run) is None) == (name == "progress.json")
    assert (last_evaluation(run) is None) == (name == "stats.json")
    assert isinstance(read_statistics(run), list)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["stats.json", "config.yaml", "categories.json", "progress.json"])
def test_a_report_is_made_or_ends_in_one_line(
    name: str, damage: str, finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = damaged(finished, tmp_path, name, damage)
    if name == "stats.json":
        with pytest.raises(SystemExit) as ended:
            main([str(run), "--images", "0"])
        assert ended.value.code == 1
        assert capsys.readouterr().err == (
            f"mrc-report: {run}/stats.json: contains no statistics of a training run\n"
        )
    else:
        main([str(run), "--images", "0"])
        assert capsys.readouterr().err == ""


def test_results_and_checksums_are_json_to_begin_with(finished: Path) -> None:
    for name in ("stats.json", "categories.json", "progress.json", "data.json"):
        json.loads((finished / name).read_text())
