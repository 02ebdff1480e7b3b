"""A rank that hangs ends the run."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import psutil
import tiny
from mrc_train.run_directory import read_progress

ENDLESS = (
    *("TRAIN.STEPS_PER_EPOCH=5", "TRAIN.LR_EPOCH_SCHEDULE=[(9999, None)]", "TRAIN.EVAL_PERIOD=0"),
    *tiny.C4,
)


def test_a_stopped_rank_ends_all_ranks_and_the_error_names_the_last_step(
    tiny_scenes: Path, tmp_path: Path
) -> None:
    command = tiny.two_ranks(tiny.QUICK_TRAIN, tmp_path, tiny_scenes, *ENDLESS, "TRAIN.STEP_TIMEOUT=20")
    process = tiny.start(*command, **tiny.MPI)
    try:
        deadline = time.monotonic() + 120
        while read_progress(tmp_path) is None and time.monotonic() < deadline:
            time.sleep(0.2)
        frozen = next(rank for rank in _ranks(process) if rank.environ()["OMPI_COMM_WORLD_RANK"] == "1")
        frozen.send_signal(signal.SIGSTOP)
        output, _ = process.communicate(timeout=120)
    finally:
        for rank in _ranks(process):
            rank.kill()
        process.kill()
        process.wait()
    assert process.returncode != 0
    assert "mrc-train: error: rank 0: no progress for 2" in output
    assert not frozen.is_running() or frozen.status() == psutil.STATUS_ZOMBIE


def test_an_image_that_cannot_be_read_to_its_end_ends_the_run(tiny_scenes: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(tiny_scenes, data)
    # Reading a pipe without a writer blocks, as reading from a file server does that is gone.
    for image in (data / "train2017").iterdir():
        image.unlink()
        os.mkfifo(image)
    done = tiny.train(tmp_path / "run", data, *ENDLESS, "TRAIN.STEP_TIMEOUT=15")
    assert done.returncode == 1
    assert "mrc-train: error: rank 0: no progress for 1" in done.stderr
    assert "the file system hangs" in done.stderr.replace("\n", " ")
    left = [each for each in psutil.process_iter() if str(tmp_path / "run") in " ".join(_command(each))]
    assert not left


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def _ranks(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
        return [child for child in children if "OMPI_COMM_WORLD_RANK" in child.environ()]
    except psutil.Error:
        return []
