"""A real S3 server on loopback: versitygw over a directory."""

import os
import socket
import subprocess
import time
from pathlib import Path

from loopback import free_port

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "testsecret",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class S3Server:
    """A running server; ``environment`` is what a client needs. ``tls``: a certificate and its key."""

    def __init__(
        self, program: Path, directory: Path, tls: tuple[Path, Path] | None = None, region: str = "us-east-1"
    ) -> None:
        self.port = free_port()
        self.buckets = directory / "buckets"
        self.buckets.mkdir(parents=True)
        self.environment = ENVIRONMENT | {
            "AWS_ENDPOINT_URL": f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        }
        with (directory / "log").open("w") as log:
            self._process = subprocess.Popen(
                [
                    *(
                        program,
                        "--port",
                        f"127.0.0.1:{self.port}",
                        "--region",
                        region,
                        "--keep-alive",
                        "--quiet",
                    ),
                    *(("--cert", tls[0], "--key", tls[1]) if tls else ()),
                    *("posix", self.buckets),
                ],
                env=os.environ | {"ROOT_ACCESS_KEY": "test", "ROOT_SECRET_KEY": "testsecret"},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self._process.poll() is None, (directory / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError("versitygw does not listen")

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
