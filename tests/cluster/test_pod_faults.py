"""What goes wrong around a training in real pods: it goes on, or it says why it cannot.

The faults of the first half befall one training without end, one after the other: each test finds it training
and leaves it training.
"""

import shutil
from collections.abc import Callable, Iterator

import pytest
from testcluster.charts import CHARTS, install_mpijob
from testcluster.client import Client, CommandFailed, Object, until
from testcluster.node import NAME
from trainings import ENDLESS, PATIENCE, Training, events, waiting_reason


@pytest.fixture(scope="module")
def user(new_node_user: Callable[[], Client]) -> Client:
    return new_node_user()


@pytest.fixture(scope="module")
def endless(user: Client) -> Iterator[Training]:
    """Its launcher may fail more often than there are tests."""
    training = Training(user, "endless")
    training.install(ENDLESS | {"backoff_limit": 20})
    yield training
    training.delete()


@pytest.fixture
def training(endless: Training) -> Training:
    """The same, with a checkpoint, a step after that and both workers ready."""
    checkpoint = endless.await_checkpoint()
    endless.await_step(checkpoint + 1)
    for number in (0, 1):
        endless.user.wait(f"pod/{endless.name}-worker-{number}", "condition=Ready", 280)
    return endless


@pytest.fixture
def brief(user: Client) -> Iterator[Training]:
    """A training of few steps, not yet installed."""
    training = Training(user, "brief")
    yield training
    training.delete()
    shutil.rmtree(training.folder, ignore_errors=True)


def uid(pod: Object) -> str:
    return str(pod["metadata"]["uid"])


def assert_nothing_lost(training: Training, checkpoint: int, went_on_from: int) -> None:
    """No step up to a checkpoint is trained or recorded again."""
    assert went_on_from >= checkpoint
    newest = training.await_checkpoint(beyond=went_on_from)
    recorded = training.recorded_steps()
    assert recorded == sorted(set(recorded)), "every step once"
    assert set(range(6, checkpoint + 1, 6)) <= set(recorded) and recorded[-1] >= newest - 6


def test_an_operator_that_starts_again_leaves_the_training_alone(training: Training) -> None:
    operator = Client(training.user.cluster, "kubeflow")
    pods = {uid(pod) for pod in training.user.objects("pods")}
    (old,) = operator.objects("pods", **{"app.kubernetes.io/component": "operator"})
    operator.kubectl("delete", "pod", old["metadata"]["name"])
    operator.wait(f"pod/{old['metadata']['name']}", "delete", 120)
    operator.wait("deployment/mpijob-operator", "condition=Available", 120)
    training.await_step(training.step() + 1)
    assert {uid(pod) for pod in training.user.objects("pods")} == pods


def test_an_upgrade_of_the_chart_mpijob_leaves_the_training_alone(training: Training) -> None:
    cluster = training.user.cluster
    pods = {uid(pod) for pod in training.user.objects("pods")}
    other = ["--reset-values", "--set=operator.resources.requests.memory=48Mi", "--wait", "--timeout=120s"]
    try:
        Client(cluster, "default").helm("upgrade", "mpijob", str(CHARTS / "mpijob"), *other)
        training.await_step(training.step() + 1)
        assert {uid(pod) for pod in training.user.objects("pods")} == pods
    finally:
        install_mpijob(cluster)


def test_a_training_goes_on_after_a_worker_pod_was_deleted(training: Training) -> None:
    checkpoint = training.checkpoints()[-1]
    launcher = training.launchers()[-1]
    training.user.kubectl("delete", "pod", f"{training.name}-worker-1", "--wait=false")
    went_on_from = training.await_resumption(uid(launcher))
    assert_nothing_lost(training, checkpoint, went_on_from)


def test_a_training_goes_on_after_its_launcher_pod_was_deleted(training: Training) -> None:
    checkpoint = training.checkpoints()[-1]
    launcher = training.launchers()[-1]
    workers = {uid(pod) for pod in training.user.pods(training.name, "worker")}
    training.user.kubectl("delete", "pod", launcher["metadata"]["name"], "--wait=false")
    went_on_from = training.await_resumption(uid(launcher))
    assert_nothing_lost(training, checkpoint, went_on_from)
    assert {uid(pod) for pod in training.user.pods(training.name, "worker")} == workers


def test_a_training_goes_on_after_its_release_was_deleted_and_installed_again(training: Training) -> None:
    checkpoint = training.checkpoints()[-1]
    launcher = training.launchers()[-1]
    training.delete()
    training.install(ENDLESS | {"backoff_limit": 20})
    went_on_from = training.await_resumption(uid(launcher))
    assert_nothing_lost(training, checkpoint, went_on_from)


def test_a_changed_dashboard_leaves_a_training_that_runs_alone(training: Training) -> None:
    pods = {uid(pod) for pod in training.user.pods(training.name, "worker")} | {uid(training.launchers()[-1])}
    step = training.step()
    training.upgrade(ENDLESS | {"backoff_limit": 20}, jupyter={"enabled": False, "port": 8443})
    training.await_step(step + 1)
    assert {uid(pod) for pod in training.user.objects("pods")} >= pods


def test_changed_settings_of_a_training_that_runs_are_refused(training: Training) -> None:
    step = training.step()
    with pytest.raises(CommandFailed, match=r"set maskrcnn\.run for a new run"):
        training.upgrade(ENDLESS | {"backoff_limit": 20, "base_lr": 0.001})
    training.await_step(step + 1)


def test_a_worker_without_its_image_waits_with_that_reason(brief: Training) -> None:
    brief.install({"image": "localhost/no-such-image:1"})
    reasons = {"ErrImagePull", "ImagePullBackOff"}
    worker = "brief-worker-0"
    until(lambda: waiting_reason(brief.user.get("pod", worker)) in reasons, "the reason", PATIENCE)
    assert "localhost/no-such-image:1" in events(brief.user, worker)
    assert brief.launchers() == [], "the launcher waits for the workers"


def test_a_worker_without_its_claim_waits_with_that_reason(brief: Training) -> None:
    brief.install({"data_fs": "fsx", "data_pvc": "no-such-claim"})
    expected = 'persistentvolumeclaim "no-such-claim" not found'
    until(lambda: expected in events(brief.user, "brief-worker-0"), "the scheduler's reason", PATIENCE)
    assert brief.launchers() == [], "the launcher waits for the workers"


def test_an_empty_data_folder_fails_the_job_with_a_line_that_names_it(brief: Training) -> None:
    empty = brief.folder.parent / "empty"
    empty.mkdir(parents=True)
    brief.install({"data_dir": f"{brief.user.namespace}/empty", "backoff_limit": 0})
    until(lambda: "Failed" in brief.conditions(), "the end of the job", PATIENCE)
    lines = [line for line in brief.log().splitlines() if "error:" in line]
    assert lines, brief.log()
    assert f"/efs/{brief.user.namespace}/empty" in lines[0]


def test_a_job_waits_for_a_cordoned_node_and_runs_when_it_is_back(brief: Training) -> None:
    brief.user.kubectl("cordon", NAME)
    try:
        brief.install()
        until(lambda: "unschedulable" in events(brief.user, "brief-worker-0"), "the reason", PATIENCE)
        assert brief.user.get("pod", "brief-worker-0")["status"]["phase"] == "Pending"
    finally:
        brief.user.kubectl("uncordon", NAME)
    until(lambda: "Running" in brief.conditions(), "the job", PATIENCE)
    brief.user.running(brief.name)
