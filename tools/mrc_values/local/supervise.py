"""Runs a launcher until it ends, logs its output, and leaves no process behind.

`mrc-values local up` calls it directly; with --detach this module runs as a program in a new session.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import IO

from mrc_values import launcher_log
from mrc_values.local import processes, scratch
from mrc_values.local.processes import Identity
from mrc_values.local.state import Release, Store, now

GRACE = 15.0
"""Seconds between SIGTERM and SIGKILL: time for the ranks to finish a step and save."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Command:
    """A command to run: arguments, the complete environment, and the working directory."""

    argv: list[str]
    env: dict[str, str]
    directory: str


class _Stopped(Exception):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def supervise(store: Store, release: Release, command: Command, show: Callable[[str], None]) -> int:
    """Run ``command`` for ``release`` and pass each line of its output to ``show``; returns the exit code.

    The release is saved when the launcher starts and when it ends. SIGINT, SIGTERM and SIGHUP end the run;
    the exit code is then 128 plus the signal's number.
    """
    release.supervisor = Identity.of(os.getpid())
    release.started, release.ended, release.exit_code, release.stopped = now(), "", None, False
    release.scratch = str(scratch.create(release.mark))
    release.log.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _signals_as_exceptions():
            code = _run(store, release, command, show)
    except _Stopped as stop:
        code = 128 + stop.number
        release.stopped = True
    finally:
        with _signals_ignored():
            processes.end(release.mark)
            scratch.remove(release.scratch, release.mark)
    release.exit_code, release.ended = code, now()
    store.save(release)
    return code


def _run(store: Store, release: Release, command: Command, show: Callable[[str], None]) -> int:
    env = {
        **command.env,
        processes.MARK_VARIABLE: release.mark,
        # Open MPI's temporary files go to one directory, which is removed even after a SIGKILL.
        "OMPI_MCA_orte_tmpdir_base": release.scratch,
        "OMPI_MCA_btl_vader_backing_directory": release.scratch,
    }
    with release.log.open("a", encoding="utf-8", errors="replace") as log:
        print(f"--- {release.started} {release.name}: {release.ranks} ranks", file=log, flush=True)
        launcher = subprocess.Popen(  # noqa: S603 (the chart's own command)
            command.argv,
            env=env,
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C must reach it only through this process
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
            _pump([launcher_log.killed_line(signal.Signals(-code).name)], log, show)
    return code if code >= 0 else 128 - code


def _end(mark: str) -> None:
    """End the launcher and its ranks; a second signal skips the grace period."""
    try:
        processes.end(mark, GRACE)
    except _Stopped:
        with _signals_ignored():
            processes.end(mark)


def _pump(output: Iterable[str], log: IO[str], show: Callable[[str], None]) -> None:
    """Copy lines to the log and to ``show`` until the launcher closes its output."""
    for text in output:
        for line in launcher_log.separated(text.rstrip("\r\n")):
            with contextlib.suppress(OSError, ValueError):  # a full disk must not block the launcher
                print(line, file=log, flush=True)
            try:
                show(line)
            except OSError:  # the reader of our output is gone; keep writing the log
                show = _ignore


def _ignore(line: str) -> None:
    """Discard a line."""


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


def detach(store: Store, release: Release, command: Command, lock: int) -> None:
    """Run ``supervise`` in a new session that inherits the ``lock``."""
    supervisor = subprocess.Popen(  # noqa: S603
        [sys.executable, "-m", "mrc_values.local.supervise", str(store.directory.parent)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(lock,),
        text=True,
    )
    assert supervisor.stdin is not None
    # Saved before the supervisor receives its input, so that its own saves come later.
    release.supervisor, release.started, release.ended = Identity.of(supervisor.pid), now(), ""
    store.save(release)
    with supervisor.stdin as pipe:
        json.dump({"release": asdict(release), "command": asdict(command)}, pipe)


def main() -> None:
    """The detached supervisor: the state directory as its argument, release and command as JSON on stdin."""
    received = json.load(sys.stdin)
    release = Release.from_json(received["release"])
    sys.exit(supervise(Store(Path(sys.argv[1])), release, Command(**received["command"]), _ignore))


if __name__ == "__main__":
    main()
