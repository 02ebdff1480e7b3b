"""A launcher that is deleted while a checkpoint is saved, and the launcher that replaces it at once.

``MRC_SLOW_SAVE=40 pytest tests/train/test_replaced_launcher.py`` lets the save take 40 seconds.
"""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tiny
from mrc_train.run_directory import newest_checkpoint

LAUNCH = Path(__file__).parents[2] / "charts" / "maskrcnn" / "files" / "launch.sh"
SECONDS = float(os.environ.get("MRC_SLOW_SAVE", 0))

ENDLESS = ("TRAIN.STEPS_PER_EPOCH=2", "TRAIN.LR_EPOCH_SCHEDULE=[(9999, None)]", "TRAIN.EVAL_PERIOD=0")


@pytest.fixture
def launchers() -> Iterator[list["subprocess.Popen[str]"]]:
    """Launchers to end with the test."""
    started: list[subprocess.Popen[str]] = []
    yield started
    for process in [process for process in started if process.poll() is None]:
        for descendant in [*psutil.Process(process.pid).children(recursive=True), process]:
            descendant.kill()
        process.wait()


def test_a_launcher_that_replaces_one_that_still_saves_waits_and_resumes_from_that_checkpoint(
    faulty_files: Path, tiny_scenes: Path, tmp_path: Path, launchers: list["subprocess.Popen[str]"]
) -> None:
    def launch(**environment: str) -> "subprocess.Popen[str]":
        (tmp_path / "hostfile").write_text("localhost slots=1\n")
        environment |= {
            "SHARED_FS": str(tmp_path),
            "OMPI_MCA_orte_default_hostfile": str(tmp_path / "hostfile"),
            "OMPI_MCA_plm": "isolated",
        }
        settings = ("TRAINER=horovod", f"DATA.BASEDIR={tiny_scenes}", *tiny.SETTINGS, *tiny.C4, *ENDLESS)
        mpirun = ("mpirun", "--allow-run-as-root", "--bind-to", "none", "-np", "1", "--tag-output")
        command = (*mpirun, "mrc-train", "--logdir", tmp_path / "run", "--config", *settings)
        process = tiny.start("bash", "-c", LAUNCH.read_text(), "launch", *command, **environment, **tiny.MPI)
        launchers.append(process)
        return process

    saved = tmp_path / "saved"
    deleted = launch(LD_PRELOAD=str(faulty_files), MRC_SAVE_WAITS_FOR=str(saved))
    while not (tmp_path / "run" / "model-2.index").exists():
        assert deleted.poll() is None, deleted.communicate()
        time.sleep(0.1)
    deleted.terminate()  # as Kubernetes does, which starts the next launcher at once
    began, replacing = time.monotonic(), launch()
    line_with(replacing, "another run writes here; waiting up to 600 s for it to end")
    time.sleep(max(0.0, began + SECONDS - time.monotonic()))
    saved.touch()
    assert line_with(replacing, "resuming from ").endswith(f"{tmp_path / 'run' / 'model-2'}\n")
    assert deleted.wait(60) == 128 + signal.SIGTERM
    assert newest_checkpoint(tmp_path / "run") == "model-2"


def line_with(process: "subprocess.Popen[str]", text: str) -> str:
    """The next line with this text."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if text in line:
            return line
    pytest.fail(f"ended without {text}:\n{''.join(lines)}")
