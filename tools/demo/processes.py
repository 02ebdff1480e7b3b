"""Runs the demo's commands, and measures and ends its processes."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
from mrc_cli.errors import UserError
from mrc_cli.terminal import result

BIN = Path(sys.executable).parent
INTERRUPT_TIMEOUT = 30.0
"""How long processes may take to end after Ctrl-C, in seconds; then they are killed."""


class CommandError(UserError):
    """A command failed; ``exit_code`` is its own."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def start(*command: object, quiet: bool = False, **environment: str) -> subprocess.Popen[str]:
    """Print a command and start it; with ``quiet``, its output is only shown by ``finish`` if it fails."""
    program, *arguments = map(str, command)
    variables = [f"{name}={value}" for name, value in environment.items()]
    result(f"$ {shlex.join([*variables, program, *arguments])}")
    return subprocess.Popen(  # noqa: S603
        [str(BIN / program), *arguments],
        env={**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if quiet else None,
        stderr=subprocess.STDOUT if quiet else None,
        text=True,
        start_new_session=True,  # Ctrl-C reaches it only once, through end_children
    )


def finish(process: subprocess.Popen[str]) -> None:
    """Wait for a command. Raises CommandError if it failed, with a quiet command's last line."""
    output, _ = process.communicate()
    if process.returncode:
        last_line = (output or "").strip().rpartition("\n")[2]
        command = shlex.join(process.args)  # type: ignore[arg-type]
        raise CommandError(f"this command failed: {command}. {last_line}".strip(), process.returncode)


def run(*command: object) -> None:
    """Print a command and run it. Raises CommandError if it fails."""
    finish(start(*command))


def end_children() -> None:
    """Interrupt the running commands, and kill what is still running after INTERRUPT_TIMEOUT."""
    descendants = psutil.Process().children(recursive=True)
    children = psutil.Process().children()
    try:
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.send_signal(signal.SIGINT)
        psutil.wait_procs(children, timeout=INTERRUPT_TIMEOUT)
    finally:
        for process in descendants:
            with contextlib.suppress(psutil.Error):
                process.kill()


class PeakMemory(threading.Thread):
    """Measures every two seconds how much memory the demo and its descendants use; ``peak`` is in bytes."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0

    def run(self) -> None:
        """Measure until the demo ends."""
        while True:
            total = 0
            for process in [psutil.Process(), *psutil.Process().children(recursive=True)]:
                with contextlib.suppress(psutil.Error):
                    total += process.memory_info().rss
            self.peak = max(self.peak, total)
            time.sleep(2)
