"""Why a pod on a node is not running: status as a kubelet writes it, patched through the real API server."""

from collections.abc import Iterator

import pytest
from releases import end_launcher
from testcluster.client import Client, Object, until
from values_tool import (
    TOLERATION,
    TYPE,
    add_event,
    add_node,
    patch_status,
    reason_named,
    reasons_of,
    rendered_job,
    submit,
)

IMAGE = "registry.example/trainer:1"
WORKER = {"name": "worker", "image": IMAGE, "imageID": "", "ready": False, "restartCount": 0, "lastState": {}}


@pytest.fixture(scope="module")
def placed(team: Client) -> Iterator[Client]:
    """A user with the job demo, whose worker is on a node that has no kubelet but this test."""
    user = team
    node = add_node(user, "kubeletless", ready=True)
    submit(user, "demo", f"{TYPE}={node}", TOLERATION, "maskrcnn.gpus=8")
    until(lambda: "nodeName" in user.get("pod", "demo-worker-0")["spec"], "a placed worker")
    yield user
    user.kubectl("delete", "node", node)


def waiting(reason: str, message: str) -> Object:
    return {"state": {"waiting": {"reason": reason, "message": message}}}


def crashing(code: int, reason: str = "Error", message: str = "") -> Object:
    ended = {"exitCode": code, "reason": reason, "message": message}
    back_off = waiting("CrashLoopBackOff", "back-off 5m0s restarting failed container")
    return back_off | {"lastState": {"terminated": ended}, "restartCount": 7}


PULL = 'Back-off pulling image "x": ErrImagePull: rpc error: code = Unknown desc = failed to pull: '

STATES = [
    ("image-missing", waiting("ErrImagePull", PULL + "registry.example/trainer:1: not found"), IMAGE),
    ("image-access", waiting("ImagePullBackOff", PULL + "pull access denied, repository"), "does not allow"),
    ("image-access", waiting("ErrImagePull", PULL + "no basic auth credentials"), "does not allow"),
    (
        "image-registry",
        waiting("ErrImagePull", PULL + "dial tcp: lookup registry.example: no such host"),
        "reach",
    ),
    (
        "image-platform",
        waiting("ErrImagePull", PULL + "no match for platform in manifest"),
        "CPU architecture",
    ),
    ("image-pull", waiting("ImagePullBackOff", 'Back-off pulling image "x"'), "cannot be pulled"),
    ("image-name", waiting("InvalidImageName", "couldn't parse image name"), "is not a valid image name"),
    ("image-never-pulled", waiting("ErrImageNeverPull", "not present with pull policy of Never"), "Never"),
    ("config-missing", waiting("CreateContainerConfigError", 'secret "wandb" not found'), 'secret "wandb"'),
    (
        "config-missing",
        waiting("CreateContainerConfigError", "couldn't find key token in ConfigMap containers/x"),
        "couldn't find key token",
    ),
    ("container-error", waiting("CreateContainerError", "context deadline exceeded"), "cannot be created"),
    (
        "container-error",
        waiting("RunContainerError", 'exec: "/bin/bash": no such file or directory'),
        "/bin/bash",
    ),
    ("crash-loop", crashing(1), "(7 restarts): ended with exit code 1"),
    ("out-of-memory", crashing(137, "OOMKilled"), "OOMKilled"),
    ("killed", crashing(137), "SIGKILL"),
    ("terminated", crashing(143), "SIGTERM"),
    ("command-missing", crashing(127), "does not have the command"),
    ("not-executable", crashing(126), "cannot be executed"),
    ("container-error", crashing(128, "StartError", "exec format error"), "exec format error"),
]


@pytest.mark.parametrize(("reason", "state", "words"), STATES)
def test_a_containers_state_is_named(placed: Client, reason: str, state: Object, words: str) -> None:
    patch_status(placed, "pod", "demo-worker-0", {"containerStatuses": [WORKER | state]})
    explained = reason_named(placed, "demo", reason)
    assert words in explained.text
    assert explained.fix or reason == "exit-code"
    assert explained.pods == ("demo-worker-0",)


EVENTS = [
    ("image-pulling", "Pulling", 'Pulling image "registry.example/trainer:1"', "is pulling the image"),
    (
        "claim-one-node",
        "FailedAttachVolume",
        'Multi-Attach error for volume "pvc-1" Volume is already used by pod(s) other',
        "the volume pvc-1 is in use on another node",
    ),
    (
        "driver-missing",
        "FailedMount",
        'MountVolume.MountDevice failed for volume "efs": driver name efs.csi.aws.com not found in the '
        "list of registered CSI drivers",
        "the storage driver efs.csi.aws.com",
    ),
    (
        "config-missing",
        "FailedMount",
        'MountVolume.SetUp failed for volume "ssh-auth" : secret "demo-ssh" not found',
        "mounts demo-ssh",
    ),
    (
        "mount",
        "FailedMount",
        'MountVolume.SetUp failed for volume "efs" : rpc error: mount.nfs4: Connection timed out',
        "Connection timed out",
    ),
    (
        "no-address",
        "FailedCreatePodSandBox",
        "plugin type=aws-cni failed (add): add cmd: failed to assign an IP address to container",
        "no IP address left",
    ),
    ("sandbox", "FailedCreatePodSandBox", "failed to setup network for sandbox: cni config", "network"),
]


@pytest.mark.parametrize(("reason", "event", "message", "words"), EVENTS)
def test_an_event_of_a_pod_is_named(
    placed: Client, reason: str, event: str, message: str, words: str
) -> None:
    creating = waiting("ContainerCreating", "")
    patch_status(placed, "pod", "demo-worker-0", {"containerStatuses": [WORKER | creating]})
    placed.kubectl("delete", "events", "--field-selector=involvedObject.name=demo-worker-0")
    add_event(placed, placed.get("pod", "demo-worker-0"), event, message)
    assert words in reason_named(placed, "demo", reason).text


def test_a_running_worker_that_is_not_ready_is_named_with_its_probe(placed: Client) -> None:
    running = {"state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
    conditions = [{"type": "Ready", "status": "False", "reason": "ContainersNotReady"}]
    pod = {"phase": "Running", "containerStatuses": [WORKER | running], "conditions": conditions}
    patch_status(placed, "pod", "demo-worker-0", pod)
    message = "Readiness probe failed: dial tcp 10.0.0.7:2222: connect: connection refused"
    add_event(placed, placed.get("pod", "demo-worker-0"), "Unhealthy", message)
    explained = reason_named(placed, "demo", "not-ready")
    assert "Readiness probe failed: dial tcp 10.0.0.7:2222" in explained.text


def test_a_node_that_stops_responding_is_named(placed: Client) -> None:
    add_event(placed, placed.get("pod", "demo-worker-0"), "NodeNotReady", "Node is not ready")
    assert reason_named(placed, "demo", "node-lost").text == "the node kubeletless does not respond"


def test_a_node_that_rejects_a_pod_is_named(placed: Client) -> None:
    message = "Allocate failed due to requested number of devices unavailable for nvidia.com/gpu"
    status = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": message}
    patch_status(placed, "pod", "demo-worker-0", status)
    assert message in reason_named(placed, "demo", "node-refused").text


def test_an_evicted_worker_fails_the_job_and_is_named(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d")
    user.running("demo")
    message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 20Mi"
    patch_status(user, "pod", "demo-worker-1", {"phase": "Failed", "reason": "Evicted", "message": message})
    user.wait("mpijob/demo", "condition=Failed")
    assert [item.reason for item in reasons_of(user, "demo")] == ["evicted", "evicted"]
    assert "low on resource: memory" in reasons_of(user, "demo")[1].text


def test_a_launcher_that_failed_too_often_is_named_with_its_exit_code(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=0")
    user.running("demo")
    end_launcher(user, "demo", 1)
    user.wait("mpijob/demo", "condition=Failed")
    texts = {item.reason: item.text for item in reasons_of(user, "demo")}
    assert "has failed 1 time, maskrcnn.backoff_limit is 0" in texts["backoff-limit"]
    assert "exit code 1" in texts["exit-code"]


def test_a_job_that_ran_too_long_is_named(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["spec"]["runPolicy"]["activeDeadlineSeconds"] = 3
    user.apply(job)
    user.wait("mpijob/demo", "condition=Failed")
    reason_named(user, "demo", "deadline")


def test_a_job_that_runs_has_no_reason_to_wait(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d")
    user.running("demo")
    until(lambda: reasons_of(user, "demo") == [], "nothing to wait for")
