"""A training whose pods do not run as root, in a namespace that enforces Pod Security's baseline."""

import os
from collections.abc import Callable

import pytest
from testcluster.client import Client, until
from trainings import PATIENCE, Training

OWNER = {"run_as_user": 1000, "run_as_group": 1000}


@pytest.fixture(scope="module")
def user(new_node_user: Callable[[], Client]) -> Client:
    user = new_node_user()
    user.kubectl("label", "namespace", user.namespace, "pod-security.kubernetes.io/enforce=baseline")
    return user


def test_a_folder_of_root_fails_the_job_with_the_command_that_mends_it(user: Client) -> None:
    training = Training(user, "refused")
    training.folder.mkdir(parents=True)
    training.install(OWNER | {"backoff_limit": 0})
    until(lambda: "Failed" in training.conditions(), "the end of the job", PATIENCE)
    folder = f"/efs/{user.namespace}/refused"
    assert f"{folder} is not writable for user 1000, group 1000." in training.log()
    assert f"mkdir -p {folder} && chown 1000:1000 {folder}" in training.log()
    training.delete()


def test_a_training_that_is_not_root_runs_to_its_end_in_its_own_folder(user: Client) -> None:
    training = Training(user, "owned")
    training.folder.mkdir(parents=True)
    os.chown(training.folder, 1000, 1000)
    training.install(OWNER | {"lr_schedule": "[6]"})
    training.await_success()
    assert training.checkpoints() == [6]
    owners = {(file.stat().st_uid, file.stat().st_gid) for file in training.folder.rglob("*")}
    assert owners == {(1000, 1000)}
    training.delete()
