"""Training jobs on simulated nodes, with the real operator and scheduler."""

from collections import Counter
from collections.abc import Callable

import pytest
from releases import end_launcher, install
from testcluster.client import Client, Object, until
from testcluster.nodes import groups


def instance_types(user: Client, pods: list[Object]) -> set[str]:
    all_labels = (user.get("node", pod["spec"]["nodeName"])["metadata"]["labels"] for pod in pods)
    return {labels["node.kubernetes.io/instance-type"] for labels in all_labels}


def scheduled(user: Client, job: str) -> list[Object]:
    return [pod for pod in user.pods(job, "worker") if "nodeName" in pod["spec"]]


@pytest.mark.parametrize("group", ["p3", "p3dn", "p4d", "g5"])
def test_a_job_runs_one_worker_on_each_of_two_nodes_of_its_group(user: Client, group: str) -> None:
    install(user, "demo", "maskrcnn", f"maskrcnn.node_group={group}")
    user.running("demo")
    workers = user.pods("demo", "worker")
    assert {pod["metadata"]["name"] for pod in workers} == {"demo-worker-0", "demo-worker-1"}
    assert len({pod["spec"]["nodeName"] for pod in workers}) == 2
    assert instance_types(user, workers) == {groups()[group]["instance_type"]}


def test_a_launcher_runs_on_a_node_without_gpus(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    user.running("demo")
    assert instance_types(user, user.pods("demo", "launcher")) == {"m5.2xlarge"}


@pytest.mark.parametrize("group", ["p4d", "g5"])
def test_a_job_of_the_optimized_chart_runs_on_nodes_of_its_group(user: Client, group: str) -> None:
    install(user, "demo", "maskrcnn-optimized", f"maskrcnn.node_group={group}")
    user.running("demo")
    assert instance_types(user, user.pods("demo", "worker")) == {groups()[group]["instance_type"]}


def test_a_worker_that_fits_no_node_stays_pending_with_the_reason(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.gpus=40")
    until(lambda: len(scheduled(user, "demo")) == 4, "four workers with a node")
    names = {pod["metadata"]["name"] for pod in scheduled(user, "demo")}
    (waiting,) = {f"demo-worker-{number}" for number in range(5)} - names
    reason = "jsonpath={.status.conditions[?(@.type=='PodScheduled')].message}"
    until(
        lambda: "4 Insufficient nvidia.com/gpu" in user.kubectl("get", "pod", waiting, f"--output={reason}"),
        "the scheduler's reason",
    )


def test_two_releases_run_side_by_side_in_one_namespace(user: Client) -> None:
    for release, group in (("one", "p4d"), ("two", "g5")):
        install(user, release, "maskrcnn", f"maskrcnn.node_group={group}")
    for release in ("one", "two"):
        user.running(release)
        assert len(user.pods(release, "worker")) == 2
    user.helm("delete", "one", "--wait")
    assert user.get("mpijob", "two")["status"]["conditions"][-1]["type"] == "Running"
    assert len(user.pods("two", "worker")) == 2


def test_releases_of_one_name_run_in_two_namespaces(new_client: Callable[[], Client]) -> None:
    users = [new_client(), new_client()]
    for user in users:
        install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    for user in users:
        user.running("demo")
        assert len(user.pods("demo", "worker")) == 2


def test_a_job_whose_launcher_succeeds_has_succeeded_and_frees_its_gpus(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    user.running("demo")
    end_launcher(user, "demo", 0)
    user.wait("mpijob/demo", "condition=Succeeded")
    user.wait("pod/demo-worker-0", "delete")
    user.wait("pod/demo-worker-1", "delete")
    assert len(user.pods("demo", "launcher")) == 1, "the launcher is kept for its log"


def test_a_failed_launcher_is_replaced_and_its_pod_is_kept(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=1")
    user.running("demo")
    (first,) = user.pods("demo", "launcher")
    end_launcher(user, "demo", 1)
    user.wait("job/demo-launcher", "jsonpath={.status.active}=1")
    user.wait("job/demo-launcher", "jsonpath={.status.failed}=1")
    phases = Counter(pod["status"]["phase"] for pod in user.pods("demo", "launcher"))
    assert phases["Failed"] == 1
    assert first["metadata"]["name"] in {
        pod["metadata"]["name"] for pod in user.pods("demo", "launcher") if pod["status"]["phase"] == "Failed"
    }


def test_a_job_has_failed_when_its_launcher_exceeds_the_backoff_limit(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=0")
    user.running("demo")
    end_launcher(user, "demo", 1)
    user.wait("mpijob/demo", "condition=Failed")


def test_a_deleted_worker_pod_is_replaced(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    user.running("demo")
    deleted = user.get("pod", "demo-worker-1")["metadata"]["uid"]
    user.kubectl("delete", "pod", "demo-worker-1", "--wait=false")
    until(lambda: user.get("pod", "demo-worker-1")["metadata"]["uid"] != deleted, "another pod")
    user.wait("pod/demo-worker-1", "condition=Ready")


def test_deleting_a_release_removes_its_pods_and_keeps_the_claims(user: Client) -> None:
    before = user.names("all,secret,configmap,pvc")
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    user.running("demo")
    user.helm("delete", "demo", "--wait")
    user.kubectl("wait", "pods,services", "--all", "--for=delete", "--timeout=90s")
    assert user.names("all,secret,configmap,pvc") == before
