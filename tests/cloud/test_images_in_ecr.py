"""mrc-images push into ECR: MiniStack's, which takes pushes and keeps tags from moving."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_cli import aws
from mrc_cli.errors import UserError
from mrc_images import commands, ecr, registry
from mrc_images.builders import Buildah
from mrc_images.table import find
from stand_in_server import StandIn

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="buildah needs root, or a set-up for other users")

REGION = "us-east-1"
"""MiniStack's registry is in this region: its address on loopback names none."""

TAG = "test-images-in-ecr"
TRAIN = find("train-cpu")


@pytest.fixture
def client(stand_in: StandIn) -> Any:
    return aws.client("ecr", REGION)


@pytest.fixture
def home(client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkout as working directory, a build, and a registry without repositories."""
    (tmp_path / "containers/train").mkdir(parents=True)
    (tmp_path / "containers/train/Dockerfile").touch()
    monkeypatch.chdir(tmp_path)
    tiny("one")
    yield tmp_path
    run("buildah", "rmi", TRAIN.local(TAG))
    for repository in TRAIN.repositories:
        client.delete_repository(repositoryName=repository.name, force=True)


def tiny(content: str) -> None:
    """Makes a small image under the name of the trainer's build, in place of that build of some gigabytes."""
    # One that was made before would stay without a name.
    subprocess.run(["buildah", "rmi", TRAIN.local(TAG)], capture_output=True)
    container = run("buildah", "from", "scratch")
    try:
        run("buildah", "config", f"--label=content={content}", container)
        run("buildah", "commit", "--quiet", container, TRAIN.local(TAG))
    finally:
        run("buildah", "rm", container)


def run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()


def images(client: Any, repository: str) -> list[dict[str, Any]]:
    described: list[dict[str, Any]] = client.describe_images(repositoryName=repository)["imageDetails"]
    return described


def test_a_push_makes_the_repositories_and_a_second_one_moves_nothing(
    home: Path, client: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    commands.push(["train-cpu"], region=REGION, tag=TAG)
    names = [repository.name for repository in TRAIN.repositories]
    made = client.describe_repositories(repositoryNames=names)["repositories"]
    assert [one["imageTagMutability"] for one in made] == ["IMMUTABLE", "IMMUTABLE"]
    assert all(one["imageScanningConfiguration"]["scanOnPush"] for one in made)
    pushed = [images(client, name) for name in names]
    digests = {image["imageDigest"] for (image,) in pushed}
    assert len(digests) == 1
    reference = yaml.safe_load((home / ".images/maskrcnn.yaml").read_text())["maskrcnn"]["image"]
    assert reference == f"{made[0]['repositoryUri']}@{digests.pop()}"

    capfd.readouterr()
    commands.push(["train-cpu"], region=REGION, tag=TAG)
    assert capfd.readouterr().err.count("is already there") == 2
    assert [images(client, name) for name in names] == pushed


def test_a_tag_that_ecr_keeps_from_moving_is_one_line(home: Path, client: Any) -> None:
    """ECR's own answer, when the tag is made between the check and the push."""
    commands.push(["train-cpu"], region=REGION, tag=TAG)
    before = images(client, "mask-rcnn")
    tiny("two")
    with pytest.raises(UserError, match="already exists with other content"):
        commands.push(["train-cpu"], region=REGION, tag=TAG)
    to = ecr.registry(client)
    with (
        registry.login_file(to) as auth,
        pytest.raises(UserError, match=r"^buildah push: the tag already exists and is not moved"),
    ):
        Buildah().push(TRAIN.local(TAG), to.reference("mask-rcnn", TAG), auth, to.insecure)
    assert images(client, "mask-rcnn") == before
