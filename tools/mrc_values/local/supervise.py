"""Runs a launcher until it ends, keeps its output, and leaves no process behind.

In the foreground a function of `mrc-values local up`; detached, this module in a session of its own.
"""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from mrc_values.local import processes, progress
from mrc_values.local.processes import Identity
from mrc_values.local.state import Release, Store, now

GRACE = 15.0
"""Seconds between SIGTERM and SIGKILL: time for the ranks to finish a step and say goodbye."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Plan:
    """The command to run: arguments, whole environment, folder to run it in."""

    argv: list[str]
    env: dict[str, str]
    folder: str


class _Stopped(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def supervise(store: Store, release: Release, plan: Plan, show: Callable[[str], None]) -> int:
    """Runs ``plan`` for ``release``, giving each line of its output to ``show``; returns the exit code.

    The release is saved when the launcher starts and when it ends. SIGINT, SIGTERM and SIGHUP end the
    run; the exit code is then 128 and the signal's number.
    """
    release.supervisor = Identity.of(os.getpid())
    release.started, release.ended, release.exit_code, release.stopped = now(), "", None, False
    shared_memory = Path("/dev/shm")  # noqa: S108 (the folder is made by mkdtemp)
    release.scratch = tempfile.mkdtemp(prefix="mrc-", dir=shared_memory if shared_memory.is_dir() else None)
    release.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _signals_as_exceptions():
            code = _run(store, release, plan, show)
    except _Stopped as stop:
        code = 128 + stop.number
        release.stopped = True
    finally:
        with _signals_ignored():
            processes.end(release.mark)
            shutil.rmtree(release.scratch, ignore_errors=True)
    release.exit_code, release.ended = code, now()
    store.save(release)
    return code


def _run(store: Store, release: Release, plan: Plan, show: Callable[[str], None]) -> int:
    env = {
        **plan.env,
        processes.RUN: release.mark,
        # Open MPI's own files: in one folder, which is removed even after a SIGKILL.
        "OMPI_MCA_orte_tmpdir_base": release.scratch,
        "OMPI_MCA_btl_vader_backing_directory": release.scratch,
    }
    with release.log.open("a", encoding="utf-8", errors="replace") as log:
        print(f"--- {release.started} {release.name}: {release.ranks} ranks", file=log, flush=True)
        launcher = subprocess.Popen(  # noqa: S603 (the chart's own command)
            plan.argv,
            env=env,
            cwd=plan.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C reaches it through this process only, in order
        )
        try:
            release.launcher = Identity.of(launcher.pid)
            store.save(release)
            assert launcher.stdout is not None
            reader = threading.Thread(target=_pump, args=(launcher.stdout, log, show), daemon=True)
            reader.start()
            code = launcher.wait()
        except _Stopped:
            _end(release.mark)
            raise
        processes.end(release.mark)  # ranks of a killed mpirun would hold the pipe open
        reader.join(timeout=10)
        if code < 0:
            _pump([progress.killed_line(signal.Signals(-code).name)], log, show)
    return code if code >= 0 else 128 - code


def _end(mark: str) -> None:
    """Ends the launcher and its ranks; a second signal ends the patience."""
    try:
        processes.end(mark, GRACE)
    except _Stopped:
        with _signals_ignored():
            processes.end(mark)


def _pump(output: Iterable[str], log: IO[str], show: Callable[[str], None]) -> None:
    """Copies lines to the log and the reader until the launcher's side is closed."""
    for text in output:
        line = progress.tidy(text.rstrip("\r\n"))
        with contextlib.suppress(OSError, ValueError):  # a full disk must not stop the launcher's output
            print(line, file=log, flush=True)
        try:
            show(line)
        except OSError:  # whoever read our output is gone; the log goes on
            show = _ignore


def _ignore(line: str) -> None:
    """Shows nothing."""


@contextlib.contextmanager
def _signals_as_exceptions() -> Iterator[None]:
    def stop(number: int, frame: FrameType | None) -> None:
        raise _Stopped(number)

    before = [signal.signal(number, stop) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


@contextlib.contextmanager
def _signals_ignored() -> Iterator[None]:
    before = [signal.signal(number, signal.SIG_IGN) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def detach(store: Store, release: Release, plan: Plan, lock: int) -> None:
    """Starts ``supervise`` in a session of its own, which inherits the ``lock``."""
    supervisor = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "mrc_values.local.supervise", str(store.folder.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(lock,),
        text=True,
    )
    assert supervisor.stdin is not None
    # Saved before it gets its order, so that what it saves itself comes after.
    release.supervisor, release.started, release.ended = Identity.of(supervisor.pid), now(), ""
    store.save(release)
    with supervisor.stdin as pipe:
        json.dump({"release": asdict(release), "plan": asdict(plan)}, pipe)


def main() -> None:
    """The detached supervisor: state folder as its argument, release and plan as JSON on stdin."""
    order = json.load(sys.stdin)
    release = Release.from_json(order["release"])
    sys.exit(supervise(Store(Path(sys.argv[1])), release, Plan(**order["plan"]), _ignore))


if __name__ == "__main__":
    main()
