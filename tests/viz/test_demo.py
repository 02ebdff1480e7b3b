"""What stops the demo. That it works as a whole is seen by running it: it trains for minutes."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import demo
import psutil
import pytest
import yaml
from mrc_train import scenes
from mrc_train.config import parse

ROOT = Path(__file__).parents[2]
MARK = "DEMO_UNDER_TEST"


def command(folder: Path, data: Path | None) -> list[str | Path]:
    given = ["--data", data] if data else []
    return [sys.executable, ROOT / "tools" / "demo.py", "--folder", folder, *given]


def run_demo(folder: Path, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(folder, data), capture_output=True, text=True, timeout=120, cwd=ROOT)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in COCO layout."""
    folder = tmp_path_factory.mktemp("data") / "photos"
    scenes.main([str(folder), "--train", "8", "--val", "4", "--size", "64"])
    return folder


def test_a_data_folder_that_is_not_in_coco_layout_is_one_line(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "out", tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"demo: {tmp_path} has no annotations/; it needs train2017/, val2017/ and annotations/ "
        "with instances_train2017.json and instances_val2017.json.\n"
    )


def test_a_stage_that_fails_stops_the_demo_with_its_exit_code(tmp_path: Path) -> None:
    """A folder called 7 is a number for Helm's --set, and maskrcnn.data_dir is a text."""
    (tmp_path / "7" / "annotations").mkdir(parents=True)
    done = run_demo(tmp_path / "out", tmp_path / "7")
    assert done.returncode == 1
    assert "maskrcnn.data_dir" in done.stdout
    assert done.stderr.splitlines()[-1].startswith("demo: this command failed: ")
    assert "validate" in done.stderr.splitlines()[-1]
    assert "== Train" not in done.stdout


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("DATA.BASEDIR=/elsewhere", "DATA.BASEDIR=/elsewhere, which is now {data}"),
        ("FPN.NUM_CHANNEL=48", "FPN.NUM_CHANNEL=48, which is now 64"),
    ],
)
def test_a_run_of_other_data_or_of_another_model_is_not_gone_on_with(
    setting: str, message: str, tmp_path: Path, photos: Path
) -> None:
    run = tmp_path / "efs" / "kubeflow" / "photos"
    run.mkdir(parents=True)
    (run / "model-5.index").touch()
    (run / "config.yaml").write_text(parse([*settings_of_the_example(photos), setting]).to_yaml())
    done = run_demo(tmp_path, photos)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"was trained with {message.format(data=photos)}. Start with CLEAN=1.")
    assert "== Train" not in done.stdout


def test_a_run_with_another_schedule_is_gone_on_with(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "model-5.index").touch()
    settings = settings_of_the_example(photos)
    (tmp_path / "config.yaml").write_text(parse(settings).to_yaml())
    demo.check_unchanged(tmp_path, [*settings, "TRAIN.LR_SCHEDULE=[5000]", "TEST.RESULT_SCORE_THRESH=0.1"])


def settings_of_the_example(photos: Path) -> list[str]:
    values = yaml.safe_load((ROOT / "charts/maskrcnn/examples/photos.yaml").read_text())["maskrcnn"]
    return [*values["extra_config"], f"DATA.BASEDIR={photos}", f"BACKBONE.NORM={values['backbone_norm']}"]


@pytest.mark.parametrize(
    ("drawn", "moment", "processes", "last_words"),
    [
        # Too early for anything but mrc-scenes, which says nothing.
        (True, "$ mrc-scenes", 2, ""),
        # The demo, mrc-values, TensorBoard, mpirun and two ranks; local mode ends them in good order.
        (False, "launch: running", 6, "stopped. Resume with: mrc-values local up photos "),
    ],
    ids=["drawing", "training"],
)
def test_a_ctrl_c_leaves_no_process(
    drawn: bool, moment: str, processes: int, last_words: str, tmp_path: Path, photos: Path
) -> None:
    process = subprocess.Popen(
        command(tmp_path, None if drawn else photos),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env={**os.environ, MARK: str(tmp_path)},
        start_new_session=True,
    )
    assert process.stdout
    while moment not in (line := process.stdout.readline()):
        assert line, "the demo ended too early"
    deadline = time.monotonic() + 30
    while len(marked(tmp_path)) < processes and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output = process.stdout.read()
    assert process.wait(60) == 130, output
    assert last_words in output
    assert output.endswith("demo: interrupted; the next one goes on from the last checkpoint\n")
    assert marked(tmp_path) == []


def test_a_process_that_a_ctrl_c_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PATIENCE", 0.2)
    deaf = "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('deaf'); time.sleep(60)"
    process = demo.start("python", "-u", "-c", deaf, quiet=True)
    assert process.stdout and process.stdout.readline() == "deaf\n"
    demo.end_children()
    assert process.wait(10) == -signal.SIGKILL


def marked(folder: Path) -> list[psutil.Process]:
    """Running processes that descend from the demo, by what they inherit from it."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(folder) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found
