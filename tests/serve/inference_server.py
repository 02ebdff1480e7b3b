"""A real inference server in a process of its own, and requests to it."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WITHOUT_TENSORPACK = """
import sys
for name in ("tensorpack", "horovod", "mpi4py", "tf_keras"):
    sys.modules[name] = None  # makes an import of it fail
from mrc_serve.cli import main
main()
"""

START_TIMEOUT = 180.0


@dataclass(frozen=True)
class Reply:
    """An HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The message of an error, which is one line of JSON."""
        assert self.body.count(b"\n") == 1, self.body
        return str(self.json()["error"])


class Server:
    """``mrc-serve`` on a free port, in a process that cannot import tensorpack.

    ``model``: its directory, or Python's arguments for a command that starts the server.
    """

    def __init__(self, model: Path | list[str], *, tensorpack: bool = False, **environment: str) -> None:
        program = ["-m", "mrc_serve.cli"] if tensorpack else ["-c", WITHOUT_TENSORPACK]
        command = model if isinstance(model, list) else [*program, str(model), "--port", "0"]
        self.process = subprocess.Popen(
            [sys.executable, *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **environment},
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))

    @property
    def port(self) -> int:
        """Its port, once it listens."""
        pattern = re.compile(r"listening on http://127\.0\.0\.1:(\d+)/")
        match = wait_for(lambda: next(filter(None, map(pattern.search, self.lines)), None))
        return int(match[1])

    def ready(self) -> "Server":
        """Wait until it is ready."""
        wait_for(lambda: self.process.poll() is not None or self.get("/ping").status == 200)
        assert self.process.poll() is None, self.lines
        return self

    def request(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Reply:
        """Send one request; ``content_type=...`` becomes the header Content-Type."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        try:
            names = {name.replace("_", "-"): value for name, value in headers.items()}
            connection.request(method, path, body, names)
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def post(self, body: bytes, query: str = "", **headers: str) -> Reply:
        return self.request("POST", f"/invocations{query}", body, **headers)

    def metric(self, name: str) -> float:
        """A metric without labels."""
        match = re.search(rf"^{name} (\S+)$", self.get("/metrics").body.decode(), re.MULTILINE)
        assert match, name
        return float(match[1])

    def access_log(self) -> list[dict[str, Any]]:
        """The requests that it has logged so far."""
        return [json.loads(line) for line in list(self.lines) if line.startswith("{")]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; returns the exit code, after all of its output has been read."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; returns the exit code."""
        code = self.process.wait(60)
        self._reader.join(10)
        return code

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def program(*arguments: str) -> "subprocess.CompletedProcess[str]":
    """``mrc-serve`` with arguments with which it ends."""
    command = [sys.executable, "-m", "mrc_serve.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def wait_for(condition: Any, timeout: float = START_TIMEOUT) -> Any:
    """The first true value of a condition."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.05)
    return value
