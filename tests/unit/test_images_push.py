"""mrc-images push into a real registry on loopback: Debian's docker-registry with basic authentication."""

import base64
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from mrc_cli.errors import ServiceError, UserError
from mrc_images import commands, registry
from mrc_images.table import find

pytestmark = [
    pytest.mark.skipif(not shutil.which("docker-registry"), reason="needs Debian's package docker-registry"),
    pytest.mark.skipif(not shutil.which("buildah"), reason="needs buildah"),
    pytest.mark.skipif(os.getuid() != 0, reason="buildah needs root, or a set-up for other users"),
]

USER, PASSWORD = "test", "secret"
HTPASSWD = "test:$2b$04$Bu.TDoZBNdX48V4eaKvj1OYHuV9/7Jw1JQfvRN.Lr1i18CpU2T6Oi\n"
TAG = "test-images-push"
TRAIN = find("train-cpu")

CONFIG = """\
version: 0.1
storage: {{filesystem: {{rootdirectory: {directory}/store}}}}
http: {{addr: "127.0.0.1:{port}"}}
auth: {{htpasswd: {{realm: test, path: {directory}/htpasswd}}}}
log: {{accesslog: {{disabled: false}}}}
"""


class Server:
    """A docker-registry that can be stopped and started again."""

    def __init__(self, directory: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
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
        with (self._directory / "log").open("ab") as log:
            argv = ["docker-registry", "serve", str(self._directory / "config.yml")]
            self._process = subprocess.Popen(argv, stdout=log, stderr=log)
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://{self.host}/v2/")
            except urllib.error.HTTPError:
                return  # 401: it answers
            except OSError:
                time.sleep(0.1)
        raise AssertionError(self.log)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = Server(tmp_path_factory.mktemp("registry"))
    yield running
    running.stop()


def tiny(content: str, architecture: str = "amd64") -> None:
    """Makes a small image under the name of the trainer's build, in place of that build of some gigabytes."""
    container = run("buildah", "from", "scratch")
    try:
        run("buildah", "config", f"--arch={architecture}", f"--label=content={content}", container)
        run("buildah", "commit", "--quiet", container, TRAIN.local(TAG))
    finally:
        run("buildah", "rm", container)


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def home(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory with a login for the registry, a checkout as working directory, and a build."""
    (tmp_path / "containers/train").mkdir(parents=True)
    (tmp_path / "containers/train/Dockerfile").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    login(tmp_path, server, PASSWORD)
    tiny("one")
    yield tmp_path
    subprocess.run(["buildah", "rmi", TRAIN.local(TAG)], capture_output=True)


def login(home: Path, server: Server, password: str) -> None:
    auth = base64.b64encode(f"{USER}:{password}".encode()).decode()
    (home / "docker").mkdir(exist_ok=True)
    (home / "docker/config.json").write_text(json.dumps({"auths": {server.host: {"auth": auth}}}))


def push(server: Server, path: str) -> None:
    commands.push(["train-cpu"], to=f"{server.host}/{path}", tag=TAG)


def digest_in(server: Server, repository: str) -> str:
    """The digest that the registry itself gives for the tag."""
    request = urllib.request.Request(f"http://{server.host}/v2/{repository}/manifests/{TAG}", method="HEAD")
    request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
    request.add_header("Authorization", "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode())
    with urllib.request.urlopen(request) as response:
        return str(response.headers["Docker-Content-Digest"])


def test_both_names_get_the_digest_that_the_values_files_have(home: Path, server: Server) -> None:
    (home / ".images").mkdir()
    (home / ".images/maskrcnn.yaml").write_text("jupyter: {image: kept}\n")
    push(server, "both")
    digest = digest_in(server, "both/mask-rcnn")
    assert digest_in(server, "both/mask-rcnn-optimized") == digest
    plain = yaml.safe_load((home / ".images/maskrcnn.yaml").read_text())
    assert plain == {
        "jupyter": {"image": "kept"},
        "maskrcnn": {"image": f"{server.host}/both/mask-rcnn@{digest}"},
    }
    optimized = yaml.safe_load((home / ".images/maskrcnn-optimized.yaml").read_text())
    assert optimized == {"maskrcnn": {"image": f"{server.host}/both/mask-rcnn-optimized@{digest}"}}


def test_a_second_push_sends_nothing(home: Path, server: Server) -> None:
    push(server, "twice")
    before = len(server.log)
    push(server, "twice")
    after = server.log[before:]
    assert '"GET /v2/twice' in after
    assert not any(f'"{method} ' in after for method in ("POST", "PUT", "PATCH"))


def test_a_tag_is_not_moved_to_another_image(home: Path, server: Server) -> None:
    push(server, "fixed")
    digest = digest_in(server, "fixed/mask-rcnn")
    tiny("two")
    with pytest.raises(UserError, match="already exists with other content") as error:
        push(server, "fixed")
    assert digest in str(error.value) and "\n" not in str(error.value)
    assert digest_in(server, "fixed/mask-rcnn") == digest


def test_a_push_continues_after_the_registry_was_away(home: Path, server: Server) -> None:
    server.stop()
    try:
        with pytest.raises(ServiceError, match=f"{server.host}: the registry cannot be reached"):
            push(server, "away")
    finally:
        server.start()
    push(server, "away")
    assert digest_in(server, "away/mask-rcnn")


def test_a_wrong_password_is_one_line(home: Path, server: Server) -> None:
    login(home, server, "wrong")
    with pytest.raises(ServiceError, match=rf"{server.host}: the registry rejects the login \(401\)"):
        push(server, "wrong")


def test_an_image_for_arm_is_rejected(home: Path, server: Server) -> None:
    tiny("one", architecture="arm64")
    with pytest.raises(UserError, match="was built for arm64, but all node groups have x86-64"):
        push(server, "arm")


def test_an_image_that_is_not_built_is_named(home: Path, server: Server) -> None:
    run("buildah", "rmi", TRAIN.local(TAG))
    with pytest.raises(UserError, match="Run: mrc-images build train-cpu"):
        push(server, "unbuilt")


def test_the_login_file_is_private_and_removed(server: Server) -> None:
    with registry.login_file(registry.Registry(server.host, "bG9naW4=", True)) as directory:
        file = directory / "config.json"
        assert json.loads(file.read_text()) == {"auths": {server.host: {"auth": "bG9naW4="}}}
        assert file.stat().st_mode & 0o777 == 0o600 and directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()
