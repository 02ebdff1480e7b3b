"""Interrupted runs and how they resume: signals, dead ranks, full disks, damaged files, NaN."""

import json
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import tiny

LAUNCH = Path(__file__).parents[2] / "charts" / "maskrcnn" / "files" / "launch.sh"


def variables(checkpoint: Path) -> dict[str, np.ndarray]:
    from mrc_train.tfgraph import v1

    reader = v1.train.NewCheckpointReader(str(checkpoint))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def lines_until(process: "subprocess.Popen[str]", *texts: str) -> list[str]:
    """The output up to the line that completes ``texts``."""
    assert process.stdout is not None
    lines: list[str] = []
    wanted = list(texts)
    for line in process.stdout:
        lines.append(line)
        wanted = [text for text in wanted if text not in line]
        if not wanted:
            return lines
    pytest.fail(f"ended without {wanted}:\n{''.join(lines)}")


def ranks_alive(logdir: Path) -> list[psutil.Process]:
    ranks = []
    for process in psutil.process_iter():
        try:
            if str(logdir) in process.cmdline() and "OMPI_COMM_WORLD_RANK" in process.environ():
                ranks.append(process)
        except psutil.Error:
            continue
    return ranks


@pytest.fixture
def started() -> Iterator[list["subprocess.Popen[str]"]]:
    """Processes to kill at the end of the test."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.wait()


THREE_EPOCHS = ("TRAIN.STEPS_PER_EPOCH=3", "TRAIN.LR_EPOCH_SCHEDULE=[(3, None)]", "TRAIN.EVAL_PERIOD=0")


def test_a_run_stopped_by_sigterm_within_an_epoch_resumes_bit_by_bit(
    tiny_scenes: Path, tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    """With a thread on each core: the operations are deterministic on CPUs by default."""
    settings = (
        *(*THREE_EPOCHS, "TRAIN.BASE_LR=0.05", "TRAIN.BATCH_SIZE_PER_GPU=2"),
        *("TRAIN.GRADIENT_ACCUMULATION=2", "PREPROC.AUGMENT=dihedral", "DATA.NUM_WORKERS=2"),
    )
    assert tiny.train(tmp_path / "uninterrupted", tiny_scenes, *settings).returncode == 0
    resumed = tmp_path / "resumed"
    process = tiny.start(*tiny.training(resumed, tiny_scenes, *settings))
    started.append(process)
    lines_until(process, "rank 0 of 1")  # the first step follows seconds later, and completes
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"stopped after step 1; start again to resume from model-1 in {resumed}" in output
    assert "run_end outcome=stopped step=1 steps=9 signal=SIGTERM" in output

    done = tiny.train(resumed, tiny_scenes, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"resuming from {resumed / 'model-1'}" in done.stdout
    steps = [
        [(entry["epoch_num"], entry["global_step"]) for entry in json.loads((run / "stats.json").read_text())]
        for run in (tmp_path / "uninterrupted", resumed)
    ]
    assert steps[0] == steps[1] == [(1, 3), (2, 6), (3, 9)]
    one, other = variables(tmp_path / "uninterrupted" / "model-9"), variables(resumed / "model-9")
    assert one.keys() == other.keys()
    for name, value in one.items():
        if not name.startswith("EMA/"):  # averages for the log, which begin at each start
            assert value.tobytes() == other[name].tobytes(), name


def test_sigterm_to_the_launcher_ends_all_ranks_with_143_after_one_step(
    tiny_scenes: Path, tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    (tmp_path / "hostfile").write_text("localhost slots=2\n")
    environment = {
        "SHARED_FS": str(tmp_path),
        "OMPI_MCA_orte_default_hostfile": str(tmp_path / "hostfile"),
        "OMPI_MCA_plm": "isolated",
    }
    command = tiny.two_ranks(["mrc-train"], tmp_path / "run", tiny_scenes, *THREE_EPOCHS, *tiny.C4)
    process = tiny.start("bash", "-c", LAUNCH.read_text(), "launch", *command, **environment, **tiny.MPI)
    started.append(process)
    lines_until(process, "rank 0 of 2", "rank 1 of 2")
    process.terminate()
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGTERM, output
    assert "run_end outcome=stopped step=1 steps=9 signal=SIGTERM" in output
    assert not ranks_alive(tmp_path / "run")
    assert int(variables(tmp_path / "run" / "model-1")["global_step"]) == 1


def test_a_second_signal_ends_a_run_immediately(
    tiny_scenes: Path, tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    process = tiny.start(*tiny.training(tmp_path, tiny_scenes, *THREE_EPOCHS, *tiny.C4))
    started.append(process)
    lines_until(process, "rank 0 of 1")
    process.send_signal(signal.SIGTERM)
    time.sleep(0.2)  # signals of one kind that arrive together are delivered once
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=120)
    assert process.returncode == 128 + signal.SIGINT
    assert not list(tmp_path.glob("model-*"))


def test_when_a_rank_dies_all_ranks_end_within_a_minute_and_mpirun_fails(
    tiny_scenes: Path, tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    endless = (
        "TRAIN.STEPS_PER_EPOCH=1",
        "TRAIN.LR_EPOCH_SCHEDULE=[(9999, None)]",
        "TRAIN.EVAL_PERIOD=0",
        *tiny.C4,
    )
    process = tiny.start(*tiny.two_ranks(tiny.QUICK_TRAIN, tmp_path, tiny_scenes, *endless), **tiny.MPI)
    started.append(process)
    lines_until(process, "rank 0 of 2", "rank 1 of 2")
    deadline = time.monotonic() + 120
    while not (tmp_path / "model-2.index").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    (dying,) = [p for p in ranks_alive(tmp_path) if p.environ()["OMPI_COMM_WORLD_RANK"] == "1"]
    dying.kill()
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not ranks_alive(tmp_path)


def test_a_checkpoint_that_cannot_be_written_ends_the_run_and_keeps_the_previous_one(
    finished: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    logdir = tmp_path / "run"
    shutil.copytree(finished, logdir)
    largest = (logdir / "model-6.data-00000-of-00001").stat().st_size - 1
    _, *arguments = tiny.training(logdir, tiny_scenes, *THREE_EPOCHS)
    limited = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        # With a limit on file sizes, writes fail as on a full disk.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest)),
    )
    assert limited.returncode == 1
    last = limited.stderr.strip().splitlines()[-1]
    assert last.startswith(f"mrc-train: error: {logdir / 'model-9'} cannot be saved: File too large;"), (
        limited.stderr
    )
    assert f"the last good checkpoint is {logdir / 'model-6'}. Free some space" in last
    assert not list(logdir.glob("model-9*"))
    assert variables(logdir / "model-6").keys() == variables(finished / "model-6").keys()


def test_a_killed_run_resumes_from_its_newest_complete_checkpoint_and_logs_what_it_skips(
    tiny_scenes: Path, tmp_path: Path, started: list["subprocess.Popen[str]"]
) -> None:
    data, logdir = tmp_path / "data", tmp_path / "run"
    shutil.copytree(tiny_scenes, data)
    settings = ("TRAIN.STEPS_PER_EPOCH=4", "TRAIN.LR_EPOCH_SCHEDULE=[(5, None)]", *tiny.C4)
    process = tiny.start(*tiny.training(logdir, data, *settings))
    started.append(process)
    deadline = time.monotonic() + 120
    while not (logdir / "model-8.index").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.kill()
    process.communicate()
    # A checkpoint that was truncated by the kill.
    newest = max(logdir.glob("model-*.index"), key=lambda path: int(path.stem.split("-")[1]))
    for suffix in (".index", ".data-00000-of-00001"):
        content = newest.with_suffix(suffix).read_bytes()
        (logdir / f"model-99{suffix}").write_bytes(content[: len(content) - (100 if "data" in suffix else 0)])
    annotations = data / "annotations" / "instances_val2017.json"
    annotations.write_text(annotations.read_text() + "\n")

    done = tiny.train(logdir, data, *settings)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{logdir}/model-99: truncated or damaged; using the previous checkpoint" in done.stdout
    assert f"resuming from {newest.with_suffix('')}" in done.stdout
    step = newest.stem.split("-")[1]
    assert f"{annotations}: changed since step {step}; metrics from here on" in done.stdout
    steps = [entry["global_step"] for entry in json.loads((logdir / "stats.json").read_text())]
    assert steps == [4, 8, 12, 16, 20]
    assert (logdir / "model-20.index").exists()


DIVERGING = ("TRAIN.STEPS_PER_EPOCH=1", "TRAIN.LR_EPOCH_SCHEDULE=[(30, None)]", "TRAIN.EVAL_PERIOD=0")


def test_a_loss_that_is_not_finite_ends_all_ranks_and_names_step_images_and_checkpoint(
    tiny_scenes: Path, tmp_path: Path
) -> None:
    done = tiny.train_two_ranks(tiny.QUICK_TRAIN, tmp_path, tiny_scenes, *DIVERGING, "TRAIN.BASE_LR=1e30")
    assert done.returncode == 1
    error = next(line for line in done.stderr.splitlines() if "mrc-train: error: " in line)
    assert "mrc-train: error: the loss is nan at step 2, images " in error
    assert f"({tiny_scenes}/train2017/" in error
    assert f"the last good checkpoint is {tmp_path / 'model-1'}. Lower TRAIN.BASE_LR" in error
    assert all(np.isfinite(value).all() for value in variables(tmp_path / "model-1").values())
    assert "Traceback" not in done.stderr


def test_weights_that_are_not_finite_are_not_saved(tiny_scenes: Path, tmp_path: Path) -> None:
    done = tiny.train(tmp_path, tiny_scenes, *DIVERGING, "TRAIN.BASE_LR=1e60")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("mrc-train: error: weights are NaN or infinite after step 1; the last good check")
    assert "checkpoint is none." in last
    assert not list(tmp_path.glob("model-*"))


def test_a_run_resumes_only_with_the_same_classes(finished: Path, tiny_scenes: Path, tmp_path: Path) -> None:
    logdir, data = tmp_path / "run", tmp_path / "data"
    shutil.copytree(finished, logdir)
    shutil.copytree(tiny_scenes, data)
    for file in (data / "annotations").iterdir():
        content = json.loads(file.read_text())
        content["categories"].append({"id": 77, "name": "another"})
        file.write_text(json.dumps(content))
    done = tiny.train(logdir, data, *THREE_EPOCHS)
    assert done.returncode == 1
    assert done.stderr.startswith(f"mrc-train: error: {logdir}: this run was started with other classes")
    assert done.stderr.count("\n") == 1
