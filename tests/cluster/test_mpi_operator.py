"""The chart mpijob on a real API server: what it keeps, what it brings, and the operator's rights."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from releases import end_launcher, install, settings
from testcluster.charts import CHARTS, install_mpijob
from testcluster.client import Client, until
from testcluster.cluster import Cluster

MPIJOB = str(CHARTS / "mpijob")
Right = tuple[str, str]

UNUSED = {("mpijobs/finalizers", "update")}
"""Checked only by API servers that ask who may be an owner, as OpenShift's does."""

SOMETIMES = {("events", "patch")}
"""An event that comes again soon is counted up: it depends on the time between them."""


@pytest.fixture
def admin(cluster: Cluster) -> Iterator[Client]:
    """Who installed mpijob; it is there again, as the other tests expect it, afterwards."""
    yield Client(cluster, "default")
    install_mpijob(cluster)


def test_deleting_the_operator_keeps_its_namespace_the_resource_and_running_jobs(
    admin: Client, user: Client
) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    user.running("demo")
    pods = user.names("pod")

    admin.helm("delete", "mpijob", "--wait")

    assert admin.get("namespace", "kubeflow")["status"]["phase"] == "Active"
    assert "deletionTimestamp" not in admin.get("crd", "mpijobs.kubeflow.org")["metadata"]
    assert user.names("pod") == pods
    admin.with_program("helm3").helm("install", "mpijob", MPIJOB, "--wait", "--timeout=60s")
    end_launcher(user, "demo", 0)
    user.wait("mpijob/demo", "condition=Succeeded")


def test_an_upgrade_brings_a_changed_schema(admin: Client, helm: str, tmp_path: Path) -> None:
    admin = admin.with_program(helm)
    newer = shutil.copytree(MPIJOB, tmp_path / "mpijob")
    schema = newer / "templates" / "_schema.tpl"
    told = "A job of processes that speak MPI"
    assert told in schema.read_text()
    schema.write_text(schema.read_text().replace(told, "Something newer"))
    admin.helm("upgrade", "mpijob", str(newer))
    versions = admin.get("crd", "mpijobs.kubeflow.org")["spec"]["versions"]
    assert "Something newer" in versions[0]["schema"]["openAPIV3Schema"]["description"]


def test_a_namespace_that_enforces_restricted_admits_the_operator(user: Client) -> None:
    user.kubectl("label", "namespace", user.namespace, "pod-security.kubernetes.io/enforce=restricted")
    install_operator(user)
    assert "Available" in {
        condition["type"]
        for condition in user.get("deployment", "own-operator")["status"]["conditions"]
        if condition["status"] == "True"
    }


def test_two_operators_of_one_namespace_take_turns(admin: Client, cluster: Cluster) -> None:
    admin.helm("upgrade", "mpijob", MPIJOB, "--set=operator.replicas=2", "--wait", "--timeout=60s")
    kubeflow = Client(cluster, "kubeflow")
    assert len(kubeflow.objects("pods", **{"app.kubernetes.io/component": "operator"})) == 2
    assert kubeflow.get("lease", "mpi-operator")["spec"]["holderIdentity"]


def test_an_operator_of_the_cluster_has_the_rights_that_it_uses_and_no_others(user: Client) -> None:
    kubeflow = Client(user.cluster, "kubeflow")
    # An operator that a test before this one deleted was refused its last requests: its rights went first.
    begun = datetime.now(UTC)
    kubeflow.kubectl("rollout", "restart", "deployment/mpijob-operator")
    kubeflow.kubectl("rollout", "status", "deployment/mpijob-operator", "--timeout=60s")
    whole_life_of_a_job(user)
    asked, refused = audited(user.cluster, "system:serviceaccount:kubeflow:mpijob-operator", begun)
    assert refused == set()
    assert granted(kubeflow, "role,clusterrole", "mpijob") - asked - SOMETIMES == UNUSED


@pytest.fixture(scope="module")
def no_operator(cluster: Cluster) -> Iterator[None]:
    """The cluster has no operator but those that the tests install. For the last tests of this file."""
    without = ["upgrade", "mpijob", MPIJOB, "--set=operator.enabled=false", "--wait"]
    Client(cluster, "default").helm(*without)
    yield
    install_mpijob(cluster)


def test_an_operator_of_one_namespace_leaves_the_jobs_of_others_alone(
    no_operator: None, new_client: Callable[[], Client]
) -> None:
    mine, other = new_client(), new_client()
    install_operator(mine)
    for user in (other, mine):
        install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    mine.running("demo")
    assert "status" not in other.get("mpijob", "demo")


def test_an_operator_of_one_namespace_has_the_rights_that_it_uses_and_no_others(
    no_operator: None, user: Client
) -> None:
    begun = datetime.now(UTC)
    install_operator(user)
    whole_life_of_a_job(user)
    asked, refused = audited(user.cluster, f"system:serviceaccount:{user.namespace}:own-operator", begun)
    assert refused == set()
    assert granted(user, "role,clusterrole", "own") - asked - SOMETIMES == UNUSED


def install_operator(user: Client) -> None:
    """An operator for the user's namespace alone, called own."""
    given = ["operator.scope=namespace", "crd.create=false", "namespace.create=false"]
    user.helm("install", "own", MPIJOB, *settings("mpijob", *given), "--wait", "--timeout=60s")


def whole_life_of_a_job(user: Client) -> None:
    """A job that is spoilt, suspended, resumed, loses a worker and ends well; then one that fails."""
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "tensorboard.enabled=false")
    user.running("demo")
    spoil(user)
    suspend(user, True)
    user.kubectl("wait", "pods", "--selector=training.kubeflow.org/job-name=demo", "--for=delete")
    suspend(user, False)
    until(lambda: len(user.pods("demo", "launcher")) == 1, "the launcher")
    user.running("demo")
    user.kubectl("delete", "pod", "demo-worker-1", "--wait=false")
    end_launcher(user, "demo", 0)
    user.wait("mpijob/demo", "condition=Succeeded")
    user.wait("pod/demo-worker-0", "delete")
    user.helm("delete", "demo", "--wait")
    given = ["maskrcnn.node_group=g5", "maskrcnn.backoff_limit=0", "tensorboard.enabled=false"]
    install(user, "failing", "maskrcnn", *given)
    user.running("failing")
    end_launcher(user, "failing", 1)
    user.wait("mpijob/failing", "condition=Failed")


def spoil(user: Client) -> None:
    """Changes the service and the ssh key of the job; the operator puts them right."""
    user.kubectl("patch", "secret", "demo-ssh", '--patch={"stringData":{"more":"x"}}')
    user.kubectl("patch", "service", "demo", '--patch={"spec":{"selector":{"more":"x"}}}')
    until(lambda: "more" not in user.get("secret", "demo-ssh")["data"], "the ssh key as it was")
    until(lambda: "more" not in user.get("service", "demo")["spec"]["selector"], "the service as it was")


def suspend(user: Client, value: bool) -> None:
    patch = json.dumps({"spec": {"runPolicy": {"suspend": value}}})
    user.kubectl("patch", "mpijob", "demo", "--type=merge", f"--patch={patch}")
    user.wait("mpijob/demo", f"jsonpath={{.status.conditions[?(@.type=='Suspended')].status}}={value}")


def granted(user: Client, kinds: str, release: str) -> set[Right]:
    """What the roles of a release allow: (resource, verb)."""
    rights = set()
    for role in user.objects(kinds, **{"app.kubernetes.io/instance": release}):
        for rule in role["rules"]:
            rights |= {(resource, verb) for resource in rule["resources"] for verb in rule["verbs"]}
    return rights


def audited(cluster: Cluster, account: str, begun: datetime) -> tuple[set[Right], set[Right]]:
    """What an account asked for by the API server's audit log, and what it was refused since it began."""
    asked, refused = set(), set()
    for line in (cluster.logs / "audit.log").read_text().splitlines():
        entry = json.loads(line)
        if entry["user"]["username"] == account and "objectRef" in entry:
            target = entry["objectRef"]
            right = ("/".join(filter(None, [target["resource"], target.get("subresource")])), entry["verb"])
            asked.add(right)
            # An informer lists where the API server cannot begin a watch with what there is.
            asked |= {(right[0], "list")} if right[1] == "watch" else set()
            forbidden = entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
            if forbidden and datetime.fromisoformat(entry["requestReceivedTimestamp"]) >= begun:
                refused.add(right)
    return asked, refused
