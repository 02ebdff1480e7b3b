"""The Lambda function as AWS runs it: its zip under AWS's runtime emulator, with AWS's Python runtime."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from loopback import free_port
from mrc_sagemaker.lambda_function import archive

START_TIMEOUT = 180.0


class FunctionError(Exception):
    """The function raised: type and message as Lambda reports them."""


def unavailable() -> str:
    """Why the emulator cannot run here; empty if it can."""
    if not sys.platform.startswith("linux"):
        return "AWS's Python runtime for Lambda is for Linux"
    return "" if shutil.which("go") else "needs Go, to build AWS's emulator"


class Emulator:
    """A running function; it starts with the first event."""

    def __init__(self, program: Path, directory: Path, environment: Mapping[str, str]) -> None:
        zipfile.ZipFile(io.BytesIO(archive())).extractall(directory)
        addresses = [f"127.0.0.1:{free_port()}" for _ in range(2)]
        self._url = f"http://{addresses[0]}/2015-03-31/functions/function/invocations"
        self._log = (directory / "log").open("wb")
        flags = ["--runtime-interface-emulator-address", addresses[0], "--runtime-api-address", addresses[1]]
        self._process = subprocess.Popen(
            [program, *flags, sys.executable, "-m", "awslambdaric", "handler.handle"],
            cwd=directory,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, "AWS_LAMBDA_FUNCTION_TIMEOUT": "300", "NO_PROXY": "*", **environment},
        )

    def handle(self, event: Mapping[str, Any], context: None = None) -> Any:
        """Send an event; the function's answer. Raises FunctionError when it raised."""
        request = Request(self._url, json.dumps(event).encode())
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            try:
                with urlopen(request, timeout=START_TIMEOUT) as answer:
                    result = json.loads(answer.read())
                break
            except OSError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise
                time.sleep(0.1)
        if "errorType" in result:
            raise FunctionError(f"{result['errorType']}: {result['errorMessage']}")
        return result

    def stop(self) -> None:
        """End the emulator and its function."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()
