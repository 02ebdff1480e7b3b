"""Outputs that cannot be written: a full disk, a broken one, a network file system that lost its server."""

import errno
import json
import os
import re
from pathlib import Path

import pytest
import tiny
from mrc_train.run_directory import checkpoint_steps

HERE = Path(__file__).parent

OUTPUTS = ("/log.log", "stats.json", "progress.json", "events.out", "/result/", "/detections/")
NUMBERS = (errno.ENOSPC, errno.EIO, errno.ESTALE)
AT_START = ("config.yaml", "categories.json", "data.json")
"""Files that are written before the first step."""
FAULTS = [(output, number) for output in OUTPUTS for number in NUMBERS]


def test_no_output_but_the_checkpoint_ends_a_run_when_it_cannot_be_written(
    faulty_files: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    epochs = len(FAULTS) + 1  # the last one without a fault
    done = tiny.run(
        *("python", HERE / "faulty_outputs.py", ",".join(f"{output}:{number}" for output, number in FAULTS)),
        *("--logdir", tmp_path, "--config", f"DATA.BASEDIR={tiny_scenes}", *tiny.SETTINGS, *tiny.C4),
        *("TRAIN.STEPS_PER_EPOCH=1", f"TRAIN.LR_EPOCH_SCHEDULE=[({epochs}, None)]"),
        LD_PRELOAD=str(faulty_files),
        MRC_FAULTS=",".join(f"{name}:{number}" for name, number in zip(AT_START, NUMBERS, strict=True)),
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    hits = re.findall(r"^fault (\S+) (\d+) (\d+)$", done.stdout, re.MULTILINE)
    assert [(output, int(number)) for output, number, _ in hits] == FAULTS
    assert [output for output, _, count in hits if count == "0"] == []
    for name, number in zip(AT_START, NUMBERS, strict=True):
        assert re.search(rf"{name}.*{os.strerror(number)}", done.stdout), done.stdout
        assert not (tmp_path / name).exists()
    assert "Traceback" not in done.stderr
    assert "Logging error" not in done.stderr
    assert checkpoint_steps(tmp_path)[-1] == epochs
    # Each epoch's metrics are in the file that was written after the fault.
    entries = json.loads((tmp_path / "stats.json").read_text())
    assert [entry["global_step"] for entry in entries] == list(range(1, epochs + 1))
    assert all("bbox/AP" in entry for entry in entries)
    # The last checkpoint failed with every error, at every moment, and was complete afterwards.
    failed = re.findall(r"^checkpoint (.+):(\d+): (.+)$", done.stdout, re.MULTILINE)
    assert [(name, int(number)) for name, number, _ in failed] == [
        (name, number) for name in ("/model-", "fsync /model-") for number in NUMBERS
    ]
    last, before = (tmp_path / f"model-{step}" for step in (epochs, epochs - 1))
    for _, number, message in failed:
        reason = os.strerror(int(number))
        assert message.startswith(f"{last} cannot be saved: {reason}; the last good checkpoint is {before}. ")


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK])
def test_a_file_system_without_locks_ends_a_run_in_one_line(
    number: int, faulty_files: Path, tiny_scenes: Path, tmp_path: Path
) -> None:
    done = tiny.train(tmp_path, tiny_scenes, LD_PRELOAD=str(faulty_files), MRC_FAULT_FLOCK=str(number))
    assert done.returncode == 1
    assert "its file system does not support locks" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
