"""Errors and interrupts of the demo. The complete demo trains for minutes and is run by ``make demo``."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import yaml
from demo import processes, release
from mrc_train import scenes
from mrc_train.config import parse

ROOT = Path(__file__).parents[2]
MARK = "DEMO_UNDER_TEST"


def command(directory: Path, data: Path | None) -> list[str | Path]:
    return [sys.executable, "-m", "demo", "--directory", directory, *(["--data", data] if data else [])]


def run_demo(directory: Path, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(directory, data), capture_output=True, text=True, timeout=120, cwd=ROOT)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Data in COCO layout."""
    directory = tmp_path_factory.mktemp("data") / "photos"
    scenes.main([str(directory), "--train", "8", "--val", "4", "--size", "64"])
    return directory


def test_data_that_are_not_in_coco_layout_are_one_line(tmp_path: Path) -> None:
    done = run_demo(tmp_path / "out", tmp_path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == (
        f"demo: {tmp_path} has no annotations/; it needs train2017/, val2017/ and annotations/ "
        "with instances_train2017.json and instances_val2017.json.\n"
    )


def test_a_stage_that_fails_stops_the_demo_with_its_exit_code(tmp_path: Path) -> None:
    """Helm's --set turns the directory name 7 into an integer, and maskrcnn.data_dir is a string."""
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
def test_a_run_of_other_data_or_another_model_is_not_resumed(
    setting: str, message: str, tmp_path: Path, photos: Path
) -> None:
    run = tmp_path / "efs" / "kubeflow" / "photos"
    run.mkdir(parents=True)
    save_empty_checkpoint(run)
    (run / "config.yaml").write_text(parse([*settings_of_the_example(photos), setting]).to_yaml())
    done = run_demo(tmp_path, photos)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"was trained with {message.format(data=photos)}. Start with CLEAN=1.")
    assert "== Train" not in done.stdout


def test_a_run_with_another_schedule_is_resumed(tmp_path: Path, photos: Path) -> None:
    save_empty_checkpoint(tmp_path)
    settings = settings_of_the_example(photos)
    (tmp_path / "config.yaml").write_text(parse(settings).to_yaml())
    release.check_unchanged(tmp_path, [*settings, "TRAIN.LR_SCHEDULE=[5000]", "TEST.RESULT_SCORE_THRESH=0.1"])


def save_empty_checkpoint(run: Path) -> None:
    for suffix in ("index", "data-00000-of-00001"):
        (run / f"model-5.{suffix}").touch()


def settings_of_the_example(photos: Path) -> list[str]:
    values = yaml.safe_load((ROOT / "charts/maskrcnn/examples/photos.yaml").read_text())["maskrcnn"]
    return [*values["extra_config"], f"DATA.BASEDIR={photos}", f"BACKBONE.NORM={values['backbone_norm']}"]


@pytest.mark.parametrize(
    ("drawn", "interrupted_at", "process_count", "message"),
    [
        # Only mrc-scenes is running, which prints nothing.
        (True, "$ mrc-scenes", 2, ""),
        # The demo, mrc-values, TensorBoard, mpirun and two ranks; local mode stops them.
        (False, "launch: running", 6, "stopped. Resume with: mrc-values local up photos "),
    ],
    ids=["drawing", "training"],
)
def test_a_ctrl_c_leaves_no_process(
    drawn: bool, interrupted_at: str, process_count: int, message: str, tmp_path: Path, photos: Path
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
    while interrupted_at not in (line := process.stdout.readline()):
        assert line, "the demo ended before that"
    deadline = time.monotonic() + 30
    while len(marked(tmp_path)) < process_count and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    output = process.stdout.read()
    assert process.wait(60) == 130, output
    assert message in output
    assert output.endswith("demo: interrupted; the next start resumes from the newest checkpoint\n")
    assert marked(tmp_path) == []


def test_a_process_that_ignores_ctrl_c_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "INTERRUPT_TIMEOUT", 0.2)
    script = (
        "import signal, time; signal.signal(signal.SIGINT, signal.SIG_IGN); print('ready'); time.sleep(60)"
    )
    process = processes.start("python", "-u", "-c", script, quiet=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    processes.end_children()
    assert process.wait(10) == -signal.SIGKILL


def marked(directory: Path) -> list[psutil.Process]:
    """Running descendants of the demo, which inherit its environment variable."""
    running = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == str(directory) and process.status() != psutil.STATUS_ZOMBIE:
                running.append(process)
    return running
