"""Staging in real pods, from a server of S3's protocol onto the claim, and a training on what was staged."""

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from stagings import Server, Staging, frozen, tree
from testcluster.client import Client
from trainings import SCENES, Training
from values_tool import mrc_values

ALL, SCENES_ONLY = "s3://scenes/all", "s3://scenes/few"
"""The drawn scenes with many other files beside them, so that staging takes a while, and without these."""


@pytest.fixture(scope="module")
def user(baseline_user: Client) -> Client:
    return baseline_user


@pytest.fixture(scope="module")
def scenes(user: Client) -> Path:
    """The data set that the first user has drawn."""
    return user.cluster.volumes / "efs" / SCENES


@pytest.fixture(scope="module")
def original(scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What ALL is made from."""
    directory = tmp_path_factory.mktemp("original") / "all"
    shutil.copytree(scenes, directory)
    (directory / "others").mkdir()
    rng = random.Random(1)
    for number in range(3000):
        (directory / "others" / f"{number}.bin").write_bytes(rng.randbytes(24_000))
    return directory


@pytest.fixture(scope="module")
def server(user: Client, scenes: Path, original: Path) -> Server:
    server = Server(user)
    server.install()
    server.prepare(ALL, original)
    server.prepare(SCENES_ONLY, scenes)
    return server


@pytest.fixture(scope="module")
def killed(user: Client, server: Server) -> Iterator[Staging]:
    """A staging of which a pod was deleted while its program ran."""
    staging, pid = Staging(user, "killed"), server.pid()
    staging.install(ALL)
    staging.await_file()
    with frozen(pid):
        pod = staging.suspend_pod()
        assert not (staging.directory / ".mrc-staged.json").exists()
        user.kubectl("delete", "pod", pod, "--grace-period=1")
    waited = mrc_values(user, "wait", staging.name, "--timeout=280")
    assert waited.returncode == 0, waited.stdout
    yield staging
    staging.delete()


def test_a_staging_of_which_a_pod_was_deleted_completes(killed: Staging, original: Path) -> None:
    shown = killed.user.kubectl(
        "get", "pods", f"--selector=batch.kubernetes.io/job-name={killed.name}", "--no-headers"
    )
    assert [line.split()[2] for line in shown.splitlines()] == ["Completed"] * 4, shown
    assert tree(killed.directory) == tree(original)
    marker = json.loads((killed.directory / ".mrc-staged.json").read_text())
    assert (marker["files"], marker["source"]) == (len(tree(original)), f"{ALL}/")
    assert not (killed.directory / ".mrc-stage").exists()


def test_a_training_starts_on_what_was_staged(killed: Staging) -> None:
    training = Training(killed.user, "on-staged")
    training.install({"data_dir": f"{killed.user.namespace}/{killed.name}", "gpus": 1})
    training.await_step(1)
    training.delete()


def test_pods_that_are_not_root_stage_into_a_directory_of_their_own(
    user: Client, server: Server, scenes: Path
) -> None:
    staging = Staging(user, "owned")
    staging.install(SCENES_ONLY, run_as_user=1000, run_as_group=1000, own_folder=True)
    staging.await_condition("Complete")
    assert tree(staging.directory) == tree(scenes)
    files = [staging.directory, *staging.directory.rglob("*")]
    assert {(file.stat().st_uid, file.stat().st_gid) for file in files} == {(1000, 1000)}
    staging.delete()


def test_a_directory_of_another_user_ends_the_job_with_one_line_and_the_command_that_helps(
    user: Client, server: Server
) -> None:
    staging = Staging(user, "denied")
    staging.directory.mkdir()
    os.chown(staging.directory, 0, 0)
    staging.install(SCENES_ONLY, run_as_user=1000, run_as_group=1000, shards=1, backoff_limit=0)
    staging.await_condition("Failed")
    log = mrc_values(user, "logs", staging.name).stdout
    directory = f"/efs/{user.namespace}/denied"
    (line,) = [line for line in log.splitlines() if "mrc-stage:" in line]
    assert line.startswith("denied-0-"), "the pod"
    assert f"{directory} is not writable for user 1000, group 1000." in line
    assert f"mkdir -p {directory} && chown 1000:1000 {directory}" in line
    assert "Traceback" not in log
    (reason,) = json.loads(mrc_values(user, "status", staging.name, "--format=json").stdout)["reasons"]
    assert reason["text"].startswith(f"{directory} is not writable")
    staging.delete()
