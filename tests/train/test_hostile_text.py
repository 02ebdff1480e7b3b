"""Class names, file names and logs that try to control the terminal, through commands on a real terminal."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import tiny
from coco_files import annotation, image, write_image
from pseudo_terminal import TITLE, assert_harmless, on_terminal

NAME = f"{TITLE}[red]can[/red]"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set whose class and image names are hostile."""
    directory = tmp_path_factory.mktemp("data")
    (directory / "annotations").mkdir()
    for split in ("train2017", "val2017"):
        (directory / split).mkdir()
        write_image(directory / split / f"{NAME.replace('/', '')}.png", 64, 64)
        content = {
            "images": [image(1, 64, 64, file_name=f"{NAME.replace('/', '')}.png")],
            "annotations": [{"id": 1, **annotation(1, [10, 10, 60, 30])}],
            "categories": [{"id": 1, "name": NAME}, {"id": 2, "name": f"{NAME}2"}],
        }
        (directory / "annotations" / f"instances_{split}.json").write_text(json.dumps(content))
    return directory


@pytest.fixture(scope="module")
def run_log(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A run on the hostile data, and what mrc-train wrote."""
    logdir = tmp_path_factory.mktemp("runs") / "run"
    settings = ("TRAIN.STEPS_PER_EPOCH=1", "TRAIN.LR_EPOCH_SCHEDULE=[(1, None)]")
    written = on_terminal(
        *(
            "mrc-train",
            "--logdir",
            logdir,
            "--config",
            f"DATA.BASEDIR={data}",
            *tiny.SETTINGS,
            *tiny.C4,
            *settings,
        )
    )
    assert "run_end outcome=finished" in written, written
    return logdir, written


def test_training_prints_hostile_names_visibly(run_log: tuple[Path, str]) -> None:
    _, written = run_log
    assert_harmless(written)
    assert r"\x1b]0;owned\x07" in written


@pytest.mark.parametrize("format", ["text", "json", "sarif", "github"])
def test_a_check_prints_hostile_names_visibly(format: str, data: Path) -> None:
    assert_harmless(on_terminal("mrc-data", "check", data, "--format", format))


def test_a_conversion_prints_hostile_names_visibly(data: Path, tmp_path: Path) -> None:
    written = on_terminal("mrc-data", "convert", data, tmp_path / "converted")
    assert_harmless(written)
    assert (tmp_path / "converted" / "annotations").is_dir()
    assert_harmless(
        on_terminal("mrc-data", "convert", data, tmp_path / "missing", "--images", tmp_path / TITLE)
    )


def test_prediction_and_report_print_hostile_names_visibly(
    run_log: tuple[Path, str], data: Path, tmp_path: Path
) -> None:
    logdir, _ = run_log
    settings = ("--config", "TEST.RESULT_SCORE_THRESH=0", "TEST.RESULT_SCORE_THRESH_VIS=0")
    written = on_terminal(
        *("mrc-predict", "--load", logdir, "--predict", data / "val2017", "--output", tmp_path, *settings)
    )
    assert_harmless(written)
    hostile = tmp_path / f"{TITLE}run"
    shutil.copytree(logdir, hostile)
    assert_harmless(on_terminal("mrc-report", hostile, "--images", "0"))
    assert_harmless(on_terminal("mrc-report", tmp_path / f"{TITLE}none"))
    assert_harmless(on_terminal("mrc-predict", "--load", tmp_path / f"{TITLE}none", "--evaluate", "out.json"))


@pytest.mark.parametrize(
    "command",
    [
        ("mrc-values", "validate", "{file}"),
        ("mrc-values", "validate", "--set", f"maskrcnn.name={TITLE}"),
        ("mrc-values", "plan", "--node-group", TITLE),
        ("mrc-values", "explain", TITLE),
        ("mrc-values", "local", "status", TITLE),
        ("mrc-values", "local", "logs", TITLE),
        ("mrc-data", "explain", TITLE),
        ("mrc-scenes", "{file}", "--size", TITLE),
        ("mrc-train", "--logdir", TITLE, "--config", TITLE),
        ("mrc-serve", "--port=0", f"--{TITLE}"),
        ("mrc-images", "build", TITLE),
        ("mrc-stage", "status", "{directory}"),
        ("mrc-sagemaker", "convert", "{file}"),
        ("mrc-sagemaker", "status", TITLE),
    ],
    ids=lambda command: "-".join(word for word in command[:3] if word.isprintable()),
)
def test_commands_print_hostile_arguments_visibly(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(json.dumps({"kind": NAME, "maskrcnn": {"name": NAME, NAME: 1, "lr_schedule": NAME}}))
    directory = tmp_path / TITLE
    directory.mkdir()
    written = on_terminal(*(word.format(file=file, directory=directory) for word in command))
    assert_harmless(written)
    assert "Traceback" not in written


@pytest.mark.parametrize(
    ("command", "stdout"),
    [
        (("mrc-values", "explain", "MRC001"), subprocess.DEVNULL),
        (("mrc-values", "explain", "MRC001"), None),
        (("mrc-images", "list"), subprocess.DEVNULL),
        (("mrc-stage", "status", "data"), subprocess.DEVNULL),
        (("mrc-data", "explain", "MRD001"), subprocess.DEVNULL),
        (("mrc-sagemaker", "status", "job"), subprocess.DEVNULL),
    ],
)
def test_usage_errors_print_hostile_arguments_visibly(command: tuple[str, ...], stdout: int | None) -> None:
    """Typer draws them when both streams are a terminal. Its own escapes leave bidirectional overrides."""
    written = on_terminal(*command, f"{TITLE}\u202e\nforged", stdout=stdout)
    assert_harmless(written)
    assert r"\u202e" in written
    assert not [line for line in written.splitlines() if line.startswith("forged")]
