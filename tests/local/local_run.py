"""Runs `mrc-values local` as a user does, and finds the run's processes independently of it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
SCRIPT = Path(__file__).with_name("ranks.py")
PROGRAM = Path(sys.executable).with_name("mrc-values")


class LocalRun:
    """The release `trial` in a separate state directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.run_dir = directory / "efs" / "kubeflow" / "trial"

    def argv(self, verb: str, *more: str, steps: int = 6, **env: str) -> list[str]:
        """`mrc-values local VERB trial`; for `up`, with two ranks of ranks.py and the variables ``env``."""
        argv = [str(PROGRAM), "local", verb, "trial", "--dir", str(self.directory), *more]
        if verb == "up":
            argv += [str(ROOT / "charts/maskrcnn"), "--ranks", "2", "--no-tensorboard"]
            argv += ["--set", f"maskrcnn.train_script={SCRIPT}", "--set", f"maskrcnn.env.STEPS={steps}"]
            for name, value in env.items():
                argv += ["--set", f"maskrcnn.env.{name}={value}"]
        return argv

    def call(
        self, verb: str, *more: str, steps: int = 6, stdin: str | None = None, **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run the command and wait for it to end."""
        argv = self.argv(verb, *more, steps=steps, **env)
        return subprocess.run(argv, input=stdin, capture_output=True, text=True, timeout=60)

    def start(self, steps: int) -> subprocess.Popen[str]:
        """Start `up` and wait until two ranks are training."""
        before = self.step()
        up = subprocess.Popen(
            self.argv("up", steps=steps),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        until(lambda: self.step() > before and len(self.rank_pids()) == 2, "two training ranks")
        return up

    def step(self) -> int:
        """The step in progress.json; 0 when the file does not exist yet."""
        try:
            return int(json.loads((self.run_dir / "progress.json").read_text())["step"])
        except FileNotFoundError:
            return 0

    def state(self) -> dict[str, Any]:
        """The output of `status --format json`."""
        state: dict[str, Any] = json.loads(self.call("status", "--format", "json").stdout)[0]
        return state

    def processes(self) -> dict[int, str]:
        """Command lines, by pid, of all processes that were started for this directory."""
        commands = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                traces = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                running = (entry / "stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
            except OSError:
                continue
            if running and str(self.directory).encode() in traces and int(entry.name) != os.getpid():
                commands[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        return commands

    def rank_pids(self) -> list[int]:
        """Processes that run ranks.py."""
        script = f"python3 {SCRIPT}"
        return [pid for pid, command in self.processes().items() if command.startswith(script)]

    def launcher_pid(self) -> int:
        """The launcher's script, whose child is mpirun."""
        return next(
            pid for pid, command in self.processes().items() if "mpirun -np" in command.split("--tag")[0]
        )


def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Wait for a condition; the test fails when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"no {what} after {seconds} s"
        time.sleep(0.05)


def end(process: subprocess.Popen[str], number: int = signal.SIGKILL) -> tuple[int, str]:
    """Send a signal; returns the exit code and all output."""
    process.send_signal(number)
    output, _ = process.communicate(timeout=40)
    return process.returncode, output
