"""Jobs in real pods that cannot train: they wait or fail, and the reason is shown."""

import shutil
from collections.abc import Callable, Iterator

import pytest
from testcluster.client import Client, until
from testcluster.node import NAME
from trainings import STEP_TIMEOUT, Training, events, waiting_reason


@pytest.fixture(scope="module")
def user(new_node_user: Callable[[], Client]) -> Client:
    return new_node_user()


@pytest.fixture
def brief(user: Client) -> Iterator[Training]:
    """A training of few steps, not yet installed."""
    training = Training(user, "brief")
    yield training
    training.delete()
    shutil.rmtree(training.directory, ignore_errors=True)


def test_a_worker_with_a_missing_image_waits_with_that_reason(brief: Training) -> None:
    brief.install({"image": "localhost/no-such-image:1"})
    reasons = {"ErrImagePull", "ImagePullBackOff"}
    worker = "brief-worker-0"
    until(lambda: waiting_reason(brief.user.get("pod", worker)) in reasons, "the reason", STEP_TIMEOUT)
    assert "localhost/no-such-image:1" in events(brief.user, worker)
    assert brief.launchers() == [], "the launcher waits for the workers"


def test_a_worker_with_a_missing_claim_waits_with_that_reason(brief: Training) -> None:
    brief.install({"data_fs": "fsx", "data_pvc": "no-such-claim"})
    expected = 'persistentvolumeclaim "no-such-claim" not found'
    until(lambda: expected in events(brief.user, "brief-worker-0"), "the scheduler's reason", STEP_TIMEOUT)
    assert brief.launchers() == [], "the launcher waits for the workers"


def test_an_empty_data_directory_fails_the_job_with_a_line_that_names_it(brief: Training) -> None:
    empty = brief.directory.parent / "empty"
    empty.mkdir(parents=True)
    brief.install({"data_dir": f"{brief.user.namespace}/empty", "backoff_limit": 0})
    until(lambda: "Failed" in brief.conditions(), "the end of the job", STEP_TIMEOUT)
    lines = [line for line in brief.log().splitlines() if "error:" in line]
    assert lines, brief.log()
    assert f"/efs/{brief.user.namespace}/empty" in lines[0]


def test_a_job_waits_for_a_cordoned_node_and_runs_when_it_is_uncordoned(brief: Training) -> None:
    brief.user.kubectl("cordon", NAME)
    try:
        brief.install()
        until(lambda: "unschedulable" in events(brief.user, "brief-worker-0"), "the reason", STEP_TIMEOUT)
        assert brief.user.get("pod", "brief-worker-0")["status"]["phase"] == "Pending"
    finally:
        brief.user.kubectl("uncordon", NAME)
    until(lambda: "Running" in brief.conditions(), "the job", STEP_TIMEOUT)
    brief.user.running(brief.name)
