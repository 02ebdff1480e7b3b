"""files/stop.sh, run by real bash on real processes, with a directory like /proc that lists only them."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from maskrcnn_chart import CHART, run

SCRIPT = (CHART / "files" / "stop.sh").read_text()

# A rank that saves for half a second when it is told to stop, as mrc-train does.
RANK = 'trap \'sleep 0.5; echo saved >>"$LOG"; exit\' USR1; echo ready >>"$LOG"; while :; do sleep 0.05; done'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "log"
    file.touch()
    return file


@pytest.fixture
def start(tmp_path: Path, log: Path) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """``start(name, script)``: a bash with this name of its executable, in a process group of its own."""
    started: list[subprocess.Popen[bytes]] = []

    def make(name: str, script: str) -> "subprocess.Popen[bytes]":
        program = tmp_path / name
        shutil.copy("/bin/bash", program)
        started.append(
            subprocess.Popen(
                [program, "-c", script], env={**os.environ, "LOG": str(log)}, start_new_session=True
            )
        )
        return started[-1]

    yield make
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def listing(tmp_path: Path, process: "subprocess.Popen[bytes]") -> Path:
    """A directory like /proc with a process and its descendants."""
    directory = tmp_path / "proc"
    todo = [process.pid]
    while todo:
        pid = todo.pop()
        directory.mkdir(exist_ok=True)
        (directory / str(pid)).symlink_to(f"/proc/{pid}")
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        todo += [int(child) for child in children]
    return directory


def stop(proc: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["/bin/bash", "-c", SCRIPT],
        env={**os.environ, "PROC": str(proc)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def await_lines(log: Path, count: int) -> None:
    deadline = time.monotonic() + 30
    while len(log.read_text().splitlines()) < count:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_every_rank_is_told_to_stop_and_awaited(
    start: Callable[..., "subprocess.Popen[bytes]"], log: Path, tmp_path: Path
) -> None:
    rank = f"({RANK}) & "
    daemon = start("orted", f"{rank} {rank} wait; exit")
    await_lines(log, 2)
    proc = listing(tmp_path, daemon)
    result = stop(proc)
    assert (result.returncode, result.stderr) == (0, "")
    assert log.read_text().split() == ["ready"] * 2 + ["saved"] * 2


def test_a_worker_without_ranks_ends_at_once(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    assert stop(tmp_path / "proc").returncode == 0


def test_only_children_of_the_daemon_are_told(
    start: Callable[..., "subprocess.Popen[bytes]"], log: Path, tmp_path: Path
) -> None:
    other = start("sshd", RANK)
    await_lines(log, 1)
    assert stop(listing(tmp_path, other)).returncode == 0
    assert other.poll() is None
    assert log.read_text().split() == ["ready"]


def test_workers_run_the_script_before_they_are_terminated() -> None:
    rendered = run(termination_grace_period_seconds=300)
    command = rendered.worker["lifecycle"]["preStop"]["exec"]["command"]
    assert command[:2] == ["/bin/bash", "-c"]
    assert command[2].strip() == SCRIPT.strip()
    for role in ("Launcher", "Worker"):
        assert rendered.pod(role)["terminationGracePeriodSeconds"] == 300
