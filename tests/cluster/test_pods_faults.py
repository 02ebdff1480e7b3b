"""Faults and upgrades during a training in real pods: it continues or resumes, and no checkpoint is lost.

All tests use one training without end, one after the other: each begins and ends with a training that runs.
"""

import json
from collections.abc import Callable, Iterator

import pytest
from testcluster.charts import CHARTS, install_mpijob
from testcluster.client import Client, CommandFailed, Object
from trainings import ENDLESS, Training, server


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


def uid(pod: Object) -> str:
    return str(pod["metadata"]["uid"])


def assert_nothing_lost(training: Training, checkpoint: int, resumed_from: int) -> None:
    """No step up to a checkpoint is trained or recorded again."""
    assert resumed_from >= checkpoint
    newest = training.await_checkpoint(beyond=resumed_from)
    recorded = training.recorded_steps()
    assert recorded == sorted(set(recorded)), "every step once"
    assert set(range(6, checkpoint + 1, 6)) <= set(recorded) and recorded[-1] >= newest - 6


def test_a_restart_of_the_operator_does_not_affect_the_run(training: Training) -> None:
    operator = Client(training.user.cluster, "kubeflow")
    pods = training.pods()
    (old,) = operator.objects("pods", **{"app.kubernetes.io/component": "operator"})
    operator.kubectl("delete", "pod", old["metadata"]["name"])
    operator.wait(f"pod/{old['metadata']['name']}", "delete", 120)
    operator.wait("deployment/mpijob-operator", "condition=Available", 120)
    training.await_step(training.step() + 1)
    assert training.pods() == pods


def test_an_upgrade_of_the_chart_mpijob_does_not_affect_the_run(training: Training) -> None:
    cluster = training.user.cluster
    pods = training.pods()
    other = ["--reset-values", "--set=operator.resources.requests.memory=48Mi", "--wait", "--timeout=120s"]
    try:
        Client(cluster, "default").helm("upgrade", "mpijob", str(CHARTS / "mpijob"), *other)
        training.await_step(training.step() + 1)
        assert training.pods() == pods
    finally:
        install_mpijob(cluster)


def test_a_run_resumes_after_a_worker_pod_was_deleted(training: Training) -> None:
    checkpoint = training.checkpoints()[-1]
    launcher = training.launchers()[-1]
    # During a step: with its grace period, a worker would continue to train for a minute.
    training.user.kubectl("delete", "pod", f"{training.name}-worker-1", "--grace-period=1", "--wait=false")
    resumed_from = training.await_resumption(launcher)
    assert_nothing_lost(training, checkpoint, resumed_from)


def test_a_run_loses_no_step_when_a_worker_is_evicted(training: Training) -> None:
    launcher, step = training.launchers()[-1], training.step()
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": f"{training.name}-worker-1", "namespace": training.user.namespace},
    }
    path = f"/api/v1/namespaces/{training.user.namespace}/pods/{training.name}-worker-1/eviction"
    training.user.kubectl("create", "--raw", path, "--filename=-", stdin=json.dumps(eviction))
    resumed_from = training.await_resumption(launcher)
    stopped = training.user.kubectl("logs", launcher["metadata"]["name"])
    assert f"stopped after step {resumed_from};" in stopped
    assert_nothing_lost(training, step, resumed_from)


def test_a_run_resumes_after_its_launcher_pod_was_deleted(training: Training) -> None:
    checkpoint = training.checkpoints()[-1]
    launcher = training.launchers()[-1]
    workers = {uid(pod) for pod in training.user.pods(training.name, "worker")}
    training.user.kubectl("delete", "pod", launcher["metadata"]["name"], "--wait=false")
    resumed_from = training.await_resumption(launcher)
    assert_nothing_lost(training, checkpoint, resumed_from)
    assert {uid(pod) for pod in training.user.pods(training.name, "worker")} == workers


def test_a_run_resumes_after_its_release_was_deleted_and_installed_again(training: Training) -> None:
    checkpoint = training.checkpoints()[-1]
    launcher = training.launchers()[-1]
    training.delete()
    training.install(ENDLESS | {"backoff_limit": 20})
    resumed_from = training.await_resumption(launcher)
    assert_nothing_lost(training, checkpoint, resumed_from)


def test_an_upgrade_of_a_server_does_not_affect_a_live_run(training: Training) -> None:
    pods, step = training.pods(), training.step()
    training.upgrade(ENDLESS | {"backoff_limit": 20}, jupyter={"enabled": False, "port": 8443})
    training.await_step(step + 1)
    assert training.pods() == pods


@pytest.mark.parametrize("chart", ["jupyter", "tensorboard"])
def test_an_upgrade_of_a_separate_server_release_does_not_affect_a_live_run(
    training: Training, chart: str
) -> None:
    user, pods, step = training.user, training.pods(), training.step()
    values = [f"--set-json={name}={json.dumps(value)}" for name, value in server().items()]
    install = [f"own-{chart}", str(CHARTS / chart), "--set=global.namespace=", *values]
    user.helm("install", *install)
    user.helm("upgrade", *install, "--set=port=8443", "--wait", "--timeout=280s")
    training.await_step(step + 1)
    assert training.pods() == pods
    user.helm("uninstall", f"own-{chart}", "--wait")


def test_changed_settings_of_a_live_run_are_rejected(training: Training) -> None:
    step = training.step()
    with pytest.raises(CommandFailed, match=r"set maskrcnn\.run for a new run"):
        training.upgrade(ENDLESS | {"backoff_limit": 20, "base_lr": 0.001})
    training.await_step(step + 1)
