"""The process of the stand-in for AWS."""

import os
import socket
import subprocess
import time
from pathlib import Path

from loopback import free_port

START_TIMEOUT = 60
REGION = "us-west-2"


class StandIn:
    """MiniStack on loopback.

    Attributes:
        environment: variables that send the AWS provider, boto3 and mrc-values to it.
    """

    def __init__(self, directory: Path) -> None:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        self.environment = {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        settings = {
            "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1",
            "MINISTACK_IOT_MTLS": "0",
            "PYTHONPATH": str(Path(__file__).parent),
        }
        self._log = directory / "stand-in.log"
        with self._log.open("wb") as log:
            # A connection that the server closes while Terraform pauses makes it repeat a request, which
            # then finds its work already done. Hypercorn, MiniStack's own server, does that now and then.
            server = ["-m", "uvicorn", "--host=127.0.0.1", f"--port={port}", "--timeout-keep-alive=600"]
            self._process = subprocess.Popen(
                [os.environ["MRC_CLOUD_PYTHON"], *server, "--no-access-log", "stand_in:app"],
                cwd=directory,
                env=os.environ | settings,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._wait(port)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)

    def _wait(self, port: int) -> None:
        end = time.monotonic() + START_TIMEOUT
        while True:
            assert self._process.poll() is None and time.monotonic() < end, self._log.read_text()
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.2)
