"""Finding runs and reading their files."""

from collections.abc import Callable
from pathlib import Path

import pytest
from mrc_train import scenes
from mrc_train.errors import RunDirectoryError
from mrc_train.side_files import read_settings
from mrc_viz.runs import find_runs, read_history, validation_splits

Write = Callable[..., Path]


def test_runs_at_any_depth_are_listed_newest_first(written: Write, tmp_path: Path) -> None:
    written("efs/kubeflow/second", saved=2000.0)
    written("efs/kubeflow/teams/a/newest", saved=3000.0)
    written("first", saved=1000.0)
    names = [run.directory.relative_to(tmp_path).as_posix() for run in find_runs(tmp_path)]
    assert names == ["efs/kubeflow/teams/a/newest", "efs/kubeflow/second", "first"]


def test_the_directory_of_a_run_gives_that_run(written: Write) -> None:
    directory = written("one", step=250)
    for name in ("model-50.index", "model-50.data-00000-of-00001", "model-999.index"):
        (directory / name).touch()
    (run,) = find_runs(directory)
    assert (run.directory, run.steps) == (directory, (250, 50))
    assert str(run).startswith(f"{directory}  step 250, saved 2027-01-1")


def test_a_directory_without_settings_or_without_a_checkpoint_is_not_a_run(
    written: Write, tmp_path: Path
) -> None:
    (written("no-checkpoint") / "model-100.index").unlink()
    (written("no-settings") / "config.yaml").unlink()
    written("a-run")
    assert [run.directory.name for run in find_runs(tmp_path)] == ["a-run"]


def test_the_images_of_a_data_set_are_not_searched(written: Write, tmp_path: Path) -> None:
    written("coco/train2017/hidden")
    written("coco/runs/found")
    (tmp_path / "coco/annotations").mkdir()
    (tmp_path / "coco/annotations/instances_train2017.json").touch()
    assert [run.directory.name for run in find_runs(tmp_path)] == ["found"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "contains no run with a checkpoint; give the directory that runs are written to"),
        ("nowhere", "directory not found; give the directory that runs are written to"),
    ],
)
def test_a_directory_without_runs_is_one_line(name: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError) as error:
        find_runs(tmp_path / name)
    assert str(error.value) == f"{tmp_path / name}: {message}"


def test_a_scalar_has_the_steps_of_the_epochs_that_contain_it(written: Write) -> None:
    stats = [
        {"loss/total": 3.5, "epoch_num": 1, "global_step": 10},
        {"loss/total": 2.5, "bbox/AP50": 0.25, "epoch_num": 2, "global_step": 20},
        {"loss/total": 1.5, "epoch_num": 3, "global_step": 30},
    ]
    history = read_history(written("run", stats))
    assert history.keys() == {"loss/total", "bbox/AP50"}
    assert history["loss/total"].steps.tolist() == [10, 20, 30]
    assert history["loss/total"].values.tolist() == [3.5, 2.5, 1.5]
    assert history["bbox/AP50"].steps.tolist() == [20]
    assert history["bbox/AP50"].values.tolist() == [0.25]


@pytest.mark.parametrize("content", ["[{", "{}1", "[1]", '[{"loss/total": 1}]', '{"loss": 1}'])
def test_statistics_that_the_trainer_did_not_write_are_one_line(content: str, written: Write) -> None:
    directory = written("run")
    (directory / "stats.json").write_text(content)
    with pytest.raises(
        RunDirectoryError, match=r"^.*/run/stats\.json: contains no statistics of a training run$"
    ):
        read_history(directory)


@pytest.mark.parametrize("content", ["a: [", "- 1", "epochs", "MODE_MASK: often", "BACKBONE: {COLOUR: red}"])
def test_settings_that_the_trainer_did_not_write_are_one_line(content: str, written: Write) -> None:
    directory = written("run")
    (directory / "config.yaml").write_text(content)
    with pytest.raises(
        RunDirectoryError, match=r"^.*/run/config\.yaml: not the settings of a training run: [^\n]+$"
    ):
        read_settings(directory)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunDirectoryError) as error:
        read_history(tmp_path)
    assert str(error.value) == f"{tmp_path}/stats.json: not found; is {tmp_path} the directory of a run?"


def test_a_run_without_validation_data_says_so(written: Write) -> None:
    directory = written("run")
    (directory / "config.yaml").write_text("DATA: {VAL: []}\n")
    with pytest.raises(RunDirectoryError) as error:
        validation_splits(directory)
    assert str(error.value) == f"{directory}: trained without validation data (DATA.VAL is empty)"


def test_splits_that_the_run_was_not_trained_on_come_first(written: Write, tmp_path: Path) -> None:
    scenes.main([str(tmp_path / "data"), "--train", "2", "--val", "1", "--size", "32"])
    directory = written("run")
    settings = f"DATA: {{BASEDIR: {tmp_path}/data, TRAIN: [coco_train2017], VAL: [train2017, val2017]}}"
    (directory / "config.yaml").write_text(settings)
    assert [(split.name, len(split.records)) for split in validation_splits(directory)] == [
        ("val2017", 1),
        ("train2017", 2),
    ]


def test_settings_and_validation_images_of_a_trained_run_are_read(finished: Path) -> None:
    assert read_settings(finished).FPN.NUM_CHANNEL == 16
    (split,) = validation_splits(finished)
    assert (split.name, len(split.records)) == ("val2017", 4)
    assert read_history(finished)["segm/AP50"].steps.tolist() == [3, 6]
