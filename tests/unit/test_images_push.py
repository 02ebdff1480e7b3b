"""mrc-images push into a real registry on loopback: Debian's docker-registry with basic authentication."""

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest
import yaml
from docker_registry import Registry, is_installed
from mrc_cli.errors import ServiceError, UserError
from mrc_images import commands, registry
from mrc_images.table import find

PROGRAM = Path(sys.executable).with_name("mrc-images")

pytestmark = [
    pytest.mark.skipif(not is_installed(), reason="needs Debian's packages docker-registry and buildah"),
    pytest.mark.skipif(os.getuid() != 0, reason="buildah needs root, or a set-up for other users"),
]

TAG = "test-images-push"
TRAIN = find("train-cpu")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    running = Registry(tmp_path_factory.mktemp("registry"))
    yield running
    running.stop()


def tiny(content: str, architecture: str = "amd64", layer: Path | None = None) -> None:
    """Makes a small image under the name of the trainer's build, in place of that build of some gigabytes."""
    # One that was made before would stay without a name.
    subprocess.run(["buildah", "rmi", TRAIN.local(TAG)], capture_output=True)
    container = run("buildah", "from", "scratch")
    try:
        if layer:
            run("buildah", "add", "--quiet", container, str(layer), "/layer")
        run("buildah", "config", f"--arch={architecture}", f"--label=content={content}", container)
        run("buildah", "commit", "--quiet", container, TRAIN.local(TAG))
    finally:
        run("buildah", "rm", container)


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def home(tmp_path: Path, server: Registry, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory with a login for the registry, a checkout as working directory, and a build."""
    (tmp_path / "containers/train").mkdir(parents=True)
    (tmp_path / "containers/train/Dockerfile").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    server.log_in(tmp_path / "docker")
    tiny("one")
    yield tmp_path
    subprocess.run(["buildah", "rmi", TRAIN.local(TAG)], capture_output=True)


def push(server: Registry, path: str) -> None:
    commands.push(["train-cpu"], to=f"{server.host}/{path}", tag=TAG)


def test_both_names_get_the_digest_that_the_values_files_have(home: Path, server: Registry) -> None:
    (home / ".images").mkdir()
    (home / ".images/maskrcnn.yaml").write_text("jupyter: {image: kept}\n")
    push(server, "both")
    digest = server.digest("both/mask-rcnn", TAG)
    assert server.digest("both/mask-rcnn-optimized", TAG) == digest
    plain = yaml.safe_load((home / ".images/maskrcnn.yaml").read_text())
    assert plain == {
        "jupyter": {"image": "kept"},
        "maskrcnn": {"image": f"{server.host}/both/mask-rcnn@{digest}"},
    }
    optimized = yaml.safe_load((home / ".images/maskrcnn-optimized.yaml").read_text())
    assert optimized == {"maskrcnn": {"image": f"{server.host}/both/mask-rcnn-optimized@{digest}"}}


def test_a_second_push_sends_nothing(home: Path, server: Registry) -> None:
    push(server, "twice")
    before = len(server.log)
    push(server, "twice")
    after = server.log[before:]
    assert '"GET /v2/twice' in after
    assert not any(f'"{method} ' in after for method in ("POST", "PUT", "PATCH"))


def test_a_tag_is_not_moved_to_another_image(home: Path, server: Registry) -> None:
    push(server, "fixed")
    digest = server.digest("fixed/mask-rcnn", TAG)
    tiny("two")
    with pytest.raises(UserError, match="already exists with other content") as error:
        push(server, "fixed")
    assert digest in str(error.value) and "\n" not in str(error.value)
    assert server.digest("fixed/mask-rcnn", TAG) == digest


def test_a_push_continues_after_the_registry_was_away(home: Path, server: Registry) -> None:
    server.stop()
    try:
        with pytest.raises(ServiceError, match=f"{server.host}: the registry cannot be reached"):
            push(server, "away")
    finally:
        server.start()
    push(server, "away")
    assert server.digest("away/mask-rcnn", TAG)


def test_a_push_that_was_killed_in_the_middle_is_repeated(home: Path, server: Registry) -> None:
    (home / "layer").write_bytes(random.Random(1).randbytes(32 << 20))  # compressed while it is sent
    tiny("large", layer=home / "layer")
    argv = [str(PROGRAM), "push", "train-cpu", f"--registry={server.host}/killed", f"--tag={TAG}"]
    environment = os.environ | {"TMPDIR": str(home)}  # what buildah leaves when it is killed
    process = subprocess.Popen(argv, env=environment, stderr=subprocess.PIPE, start_new_session=True)
    server.until('"POST /v2/killed/mask-rcnn/blobs/uploads/')
    with server.frozen():
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    with pytest.raises(HTTPError, match="404"):
        server.digest("killed/mask-rcnn", TAG)
    push(server, "killed")
    digest = server.digest("killed/mask-rcnn", TAG)
    assert yaml.safe_load((home / ".images/maskrcnn.yaml").read_text())["maskrcnn"]["image"].endswith(digest)


def test_a_wrong_password_is_one_line(home: Path, server: Registry) -> None:
    server.log_in(home / "docker", "wrong")
    with pytest.raises(ServiceError, match=rf"{server.host}: the registry rejects the login \(401\)"):
        push(server, "wrong")


def test_an_image_for_arm_is_rejected(home: Path, server: Registry) -> None:
    tiny("one", architecture="arm64")
    with pytest.raises(UserError, match="was built for arm64, but all node groups have x86-64"):
        push(server, "arm")


def test_an_image_that_is_not_built_is_named(home: Path, server: Registry) -> None:
    run("buildah", "rmi", TRAIN.local(TAG))
    with pytest.raises(UserError, match="Run: mrc-images build train-cpu"):
        push(server, "unbuilt")


def test_the_login_file_is_private_and_removed(server: Registry) -> None:
    with registry.login_file(registry.Registry(server.host, "bG9naW4=", True)) as directory:
        file = directory / "config.json"
        assert json.loads(file.read_text()) == {"auths": {server.host: {"auth": "bG9naW4="}}}
        assert file.stat().st_mode & 0o777 == 0o600 and directory.stat().st_mode & 0o777 == 0o700
    assert not directory.exists()
