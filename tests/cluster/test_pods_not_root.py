"""Runs whose pods are not root, in a namespace that enforces Pod Security's baseline."""

import os
from collections.abc import Iterator

import pytest
from testcluster.client import Client, CommandFailed, until
from trainings import ENDLESS, OPTIMIZED, STEP_TIMEOUT, Training

OWNER = {"run_as_user": 1000, "run_as_group": 1000}


@pytest.fixture(scope="module")
def user(baseline_user: Client) -> Client:
    return baseline_user


@pytest.fixture(scope="module")
def optimized(user: Client) -> Iterator[Training]:
    """A training of the chart maskrcnn-optimized that runs, in a directory of user 1000."""
    training = Training(user, "owned", "maskrcnn-optimized")
    training.directory.mkdir(parents=True)
    os.chown(training.directory, 1000, 1000)
    training.install(OWNER | OPTIMIZED | ENDLESS)
    training.await_checkpoint()
    yield training
    training.delete()


def test_a_directory_owned_by_root_fails_the_job_with_the_command_that_fixes_it(user: Client) -> None:
    training = Training(user, "refused")
    training.directory.mkdir(parents=True)
    training.install(OWNER | {"backoff_limit": 0})
    until(lambda: "Failed" in training.conditions(), "the end of the job", STEP_TIMEOUT)
    directory = f"/efs/{user.namespace}/refused"
    assert f"{directory} is not writable for user 1000, group 1000." in training.log()
    assert f"mkdir -p {directory} && chown 1000:1000 {directory}" in training.log()
    training.delete()


def test_a_run_that_is_not_root_writes_into_its_own_directory(optimized: Training) -> None:
    owners = {(file.stat().st_uid, file.stat().st_gid) for file in optimized.directory.rglob("*")}
    assert owners == {(1000, 1000)}


def test_an_upgrade_of_maskrcnn_optimized_does_not_affect_a_run_or_is_rejected(optimized: Training) -> None:
    pods, step = optimized.pods(), optimized.step()
    settings = OWNER | OPTIMIZED | ENDLESS
    with pytest.raises(CommandFailed, match=r"set maskrcnn\.run for a new run"):
        optimized.upgrade(settings | {"base_lr": 0.001})
    optimized.upgrade(settings, jupyter={"enabled": False, "port": 8443})
    optimized.await_step(step + 1)
    assert optimized.pods() == pods
