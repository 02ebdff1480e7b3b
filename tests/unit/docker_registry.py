"""A registry on loopback: Debian's docker-registry with basic authentication."""

import base64
import json
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from loopback import free_port

USER, PASSWORD = "test", "secret"
HTPASSWD = "test:$2b$04$Bu.TDoZBNdX48V4eaKvj1OYHuV9/7Jw1JQfvRN.Lr1i18CpU2T6Oi\n"

CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}/store}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}
log: {{accesslog: {{disabled: false}}}}
"""


def is_installed() -> bool:
    """Whether the programs that the tests need are installed."""
    return all(map(shutil.which, ("docker-registry", "buildah")))


class Registry:
    """A docker-registry that can be stopped and started again.

    ``network``: PID of a process in whose network it runs, instead of the test's own.
    """

    def __init__(self, directory: Path, network: int | None = None) -> None:
        self.port = free_port()
        self.inside = ["nsenter", f"--net=/proc/{network}/ns/net"] if network else []
        (directory / "htpasswd").write_text(HTPASSWD)
        (directory / "config.yml").write_text(CONFIG.format(directory=directory, port=self.port))
        self._directory = directory
        self.start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return (self._directory / "log").read_text()

    def start(self) -> None:
        (self._directory / "log").write_text("")
        with (self._directory / "log").open("ab") as log:
            argv = [*self.inside, "docker-registry", "serve", str(self._directory / "config.yml")]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        self.until("listening on")

    def until(self, words: str) -> None:
        """Waits for words in the log, which begins with each start."""
        for _ in range(600):
            if words in self.log:
                return
            time.sleep(0.1)
        raise AssertionError(self.log)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It accepts connections, and does not answer."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def log_in(self, directory: Path, password: str = PASSWORD) -> None:
        """What ``docker login`` stores, in a directory for DOCKER_CONFIG."""
        auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
        directory.mkdir(exist_ok=True)
        (directory / "config.json").write_text(json.dumps({"auths": {self.host: {"auth": auth}}}))

    def digest(self, repository: str, tag: str) -> str:
        """The digest that the registry itself gives for a tag. Raises HTTPError."""
        request = urllib.request.Request(f"http://{self.host}/v2/{repository}/manifests/{tag}", method="HEAD")
        request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
        with urllib.request.urlopen(request) as response:
            return str(response.headers["Docker-Content-Digest"])
