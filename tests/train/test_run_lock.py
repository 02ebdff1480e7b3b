"""The lock of a run directory."""

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from mrc_train.errors import RunDirectoryError
from mrc_train.run_lock import hold_run_lock

HOLDER = """
import fcntl, sys, time
lock = open(sys.argv[1], "w")
fcntl.flock(lock, fcntl.LOCK_EX)
print("held", flush=True)
time.sleep(float(sys.argv[2]))
"""


def hold_elsewhere(logdir: Path, seconds: float) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, logdir / "lock", str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_held_lock_is_waited_for_and_the_wait_is_announced(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    holder = hold_elsewhere(tmp_path, 2)
    with hold_run_lock(tmp_path, timeout_seconds=60):
        assert holder.poll() is not None or holder.wait(5) == 0
    assert f"{tmp_path}: another run writes here; waiting up to 60 s for it to end" in caplog.text


def test_a_lock_that_stays_held_is_one_line(tmp_path: Path) -> None:
    holder = hold_elsewhere(tmp_path, 60)
    try:
        with (
            pytest.raises(RunDirectoryError, match=r"another run has written here for 0 s; stop it"),
            hold_run_lock(tmp_path, timeout_seconds=0.2),
        ):
            pytest.fail("two runs hold the lock")
    finally:
        holder.kill()
        holder.wait()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_a_file_system_without_locks_is_named_with_the_mount_option(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flock(descriptor: int, operation: int) -> None:
        raise OSError(number, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", flock)
    with (
        pytest.raises(RunDirectoryError, match=r"does not support locks .*; mount it with the option flock"),
        hold_run_lock(tmp_path),
    ):
        pytest.fail("locked without locks")


def test_a_lock_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("kept")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(RunDirectoryError), hold_run_lock(tmp_path):
        pytest.fail("the link was followed")
    assert target.read_text() == "kept"
