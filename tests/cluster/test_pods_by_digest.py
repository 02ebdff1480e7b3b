"""A job whose image mrc-images pushed into a registry with a login: its pods pull the digest."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from docker_registry import PASSWORD, USER, Registry, is_installed
from mrc_images.table import find
from preflights import program
from testcluster.charts import CHARTS
from testcluster.client import Client, until
from testcluster.cluster import Cluster
from testcluster.programs import build
from trainings import EXAMPLES, STEP_TIMEOUT

pytestmark = pytest.mark.skipif(not is_installed(), reason="needs the packages docker-registry and buildah")

TAG = "test-pods-by-digest"
IMAGE = find("train-cpu").local(TAG)
PROGRAM = Path(sys.executable).with_name("mrc-images")


@pytest.fixture
def registry(node_cluster: Cluster, tmp_path: Path) -> Iterator[Registry]:
    """A registry on the loopback of the node, from which containerd pulls by HTTP."""
    running = Registry(tmp_path, network=node_cluster.pid("kubelet"))
    running.log_in(tmp_path / "docker")
    yield running
    running.stop()


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Path]:
    """A checkout with a build: of a program that waits, instead of the trainer's 1.8 GB."""
    (tmp_path / "containers/train").mkdir(parents=True)
    (tmp_path / "containers/train/Dockerfile").touch()
    container = run("buildah", "from", "scratch")
    try:
        run("buildah", "add", "--quiet", container, str(build("pause")), "/bin/bash")
        run("buildah", "commit", "--quiet", container, IMAGE)
    finally:
        run("buildah", "rm", container)
    yield tmp_path
    run("buildah", "rmi", IMAGE)


@pytest.fixture
def user(new_node_user: Callable[[], Client]) -> Iterator[Client]:
    user = new_node_user()
    yield user
    user.delete_all()  # the program has no answer to the command that stops a worker


def run(*argv: str, cwd: Path | None = None, **environment: str) -> str:
    done = subprocess.run(argv, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_values_of_a_push_install_a_job_whose_pods_pull_the_digest(
    user: Client, registry: Registry, checkout: Path
) -> None:
    push = (*registry.inside, str(PROGRAM), "push", "train-cpu", f"--registry={registry.host}/team")
    references = run(*push, f"--tag={TAG}", cwd=checkout, DOCKER_CONFIG=str(checkout / "docker")).splitlines()
    user.kubectl(
        *("create", "secret", "docker-registry", "registry-login", f"--docker-server={registry.host}"),
        *(f"--docker-username={USER}", f"--docker-password={PASSWORD}"),
    )
    values = yaml.safe_load((EXAMPLES / "drawn-scenes.yaml").read_text())
    values["maskrcnn"] |= {"image_pull_secrets": ["registry-login"], "cpu": "100m", "gpus_per_node": 1}
    values |= {"global": {"namespace": user.namespace}, "tensorboard": {"enabled": False}}
    (checkout / "values.yaml").write_text(yaml.safe_dump(values))
    files = ("-f", checkout / "values.yaml", "-f", checkout / ".images/maskrcnn.yaml")
    where = f"--namespace={user.namespace}"
    done = program(user, "install", "digest", CHARTS / "maskrcnn", where, *files)
    assert done.returncode == 0, done.stdout + done.stderr

    def has_started() -> bool:
        (status,) = user.get("pod", "digest-worker-0")["status"].get("containerStatuses", [{}])
        return bool(status.get("started"))

    until(has_started, "a worker", STEP_TIMEOUT)
    pod = user.get("pod", "digest-worker-0")
    image = pod["spec"]["containers"][0]["image"]
    assert image in references and image.startswith(f"{registry.host}/team/mask-rcnn@sha256:")
    assert pod["status"]["containerStatuses"][0]["imageID"] == image
    assert '"GET /v2/team/mask-rcnn/blobs/sha256:' in registry.log
