"""The mpijob chart on a real API server: deletion, upgrades, and the operator's permissions."""

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
Permission = tuple[str, str]
"""Resource and verb."""

UNUSED = {("mpijobs/finalizers", "update")}
"""Needed only where OwnerReferencesPermissionEnforcement is on, as in OpenShift."""

SOMETIMES = {("events", "patch")}
"""A repeated event is patched or created, depending on the time since the first."""


@pytest.fixture
def admin(cluster: Cluster) -> Iterator[Client]:
    """The administrator who installed mpijob. It is installed again after the test."""
    yield Client(cluster, "default")
    install_mpijob(cluster)


def test_deleting_the_operator_keeps_its_namespace_the_crd_and_running_jobs(
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


def test_an_upgrade_updates_the_schema_of_the_crd(admin: Client, helm: str, tmp_path: Path) -> None:
    admin = admin.with_program(helm)
    newer = shutil.copytree(MPIJOB, tmp_path / "mpijob")
    schema = newer / "templates" / "_schema.tpl"
    description = "A job of processes that speak MPI"
    assert description in schema.read_text()
    schema.write_text(schema.read_text().replace(description, "A newer description"))
    admin.helm("upgrade", "mpijob", str(newer))
    versions = admin.get("crd", "mpijobs.kubeflow.org")["spec"]["versions"]
    assert "A newer description" in versions[0]["schema"]["openAPIV3Schema"]["description"]


def test_a_namespace_that_enforces_restricted_admits_the_operator(user: Client) -> None:
    user.kubectl("label", "namespace", user.namespace, "pod-security.kubernetes.io/enforce=restricted")
    install_operator(user)
    assert "Available" in {
        condition["type"]
        for condition in user.get("deployment", "own-operator")["status"]["conditions"]
        if condition["status"] == "True"
    }


def test_two_replicas_of_the_operator_elect_a_leader(admin: Client, cluster: Cluster) -> None:
    admin.helm("upgrade", "mpijob", MPIJOB, "--set=operator.replicas=2", "--wait", "--timeout=60s")
    kubeflow = Client(cluster, "kubeflow")
    assert len(kubeflow.objects("pods", **{"app.kubernetes.io/component": "operator"})) == 2
    assert kubeflow.get("lease", "mpi-operator")["spec"]["holderIdentity"]


def test_a_cluster_operator_has_exactly_the_permissions_that_it_uses(user: Client) -> None:
    kubeflow = Client(user.cluster, "kubeflow")
    # The last requests of an operator that an earlier test deleted were denied: its role was deleted first.
    begun = datetime.now(UTC)
    kubeflow.kubectl("rollout", "restart", "deployment/mpijob-operator")
    kubeflow.kubectl("rollout", "status", "deployment/mpijob-operator", "--timeout=60s")
    whole_life_of_a_job(user)
    requested, denied = audited(user.cluster, "system:serviceaccount:kubeflow:mpijob-operator", begun)
    assert denied == set()
    assert granted(kubeflow, "role,clusterrole", "mpijob") - requested - SOMETIMES == UNUSED


@pytest.fixture(scope="module")
def no_operator(cluster: Cluster) -> Iterator[None]:
    """Removes the cluster's operator for the last tests of this file."""
    without = ["upgrade", "mpijob", MPIJOB, "--set=operator.enabled=false", "--wait"]
    Client(cluster, "default").helm(*without)
    yield
    install_mpijob(cluster)


def test_a_namespaced_operator_ignores_jobs_in_other_namespaces(
    no_operator: None, new_client: Callable[[], Client]
) -> None:
    mine, other = new_client(), new_client()
    install_operator(mine)
    for user in (other, mine):
        install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    mine.running("demo")
    assert "status" not in other.get("mpijob", "demo")


def test_a_namespaced_operator_has_exactly_the_permissions_that_it_uses(
    no_operator: None, user: Client
) -> None:
    begun = datetime.now(UTC)
    install_operator(user)
    whole_life_of_a_job(user)
    requested, denied = audited(user.cluster, f"system:serviceaccount:{user.namespace}:own-operator", begun)
    assert denied == set()
    assert granted(user, "role,clusterrole", "own") - requested - SOMETIMES == UNUSED


def install_operator(user: Client) -> None:
    """Installs an operator for the user's namespace as the release ``own``."""
    given = ["operator.scope=namespace", "crd.create=false", "namespace.create=false"]
    user.helm("install", "own", MPIJOB, *settings("mpijob", *given), "--wait", "--timeout=60s")


def whole_life_of_a_job(user: Client) -> None:
    """Runs a job that is damaged, suspended and resumed, loses a worker and succeeds; then one that fails."""
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "tensorboard.enabled=false")
    user.running("demo")
    damage(user)
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


def damage(user: Client) -> None:
    """Changes the service and the ssh key of the job, and waits until the operator has restored them."""
    user.kubectl("patch", "secret", "demo-ssh", '--patch={"stringData":{"more":"x"}}')
    user.kubectl("patch", "service", "demo", '--patch={"spec":{"selector":{"more":"x"}}}')
    until(lambda: "more" not in user.get("secret", "demo-ssh")["data"], "the original ssh key")
    until(lambda: "more" not in user.get("service", "demo")["spec"]["selector"], "the original service")


def suspend(user: Client, value: bool) -> None:
    patch = json.dumps({"spec": {"runPolicy": {"suspend": value}}})
    user.kubectl("patch", "mpijob", "demo", "--type=merge", f"--patch={patch}")
    user.wait("mpijob/demo", f"jsonpath={{.status.conditions[?(@.type=='Suspended')].status}}={value}")


def granted(user: Client, kinds: str, release: str) -> set[Permission]:
    """Returns the permissions in the roles of a release, without the roles for its users."""
    permissions = set()
    for role in user.objects(kinds, **{"app.kubernetes.io/instance": release}):
        if any("aggregate-to-" in label for label in role["metadata"]["labels"]):
            continue
        for rule in role["rules"]:
            permissions |= {(resource, verb) for resource in rule["resources"] for verb in rule["verbs"]}
    return permissions


def audited(cluster: Cluster, account: str, begun: datetime) -> tuple[set[Permission], set[Permission]]:
    """Returns the requests of an account in the audit log, and those denied after ``begun``."""
    requested, denied = set(), set()
    # Without the last line: the API server may not have written all of it yet.
    for line in (cluster.logs / "audit.log").read_text().split("\n")[:-1]:
        entry = json.loads(line)
        if entry["user"]["username"] == account and "objectRef" in entry:
            target = entry["objectRef"]
            permission = (
                "/".join(filter(None, [target["resource"], target.get("subresource")])),
                entry["verb"],
            )
            requested.add(permission)
            # An informer falls back to list when the API server cannot stream the initial state in a watch.
            requested |= {(permission[0], "list")} if permission[1] == "watch" else set()
            forbidden = entry.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid"
            if forbidden and datetime.fromisoformat(entry["requestReceivedTimestamp"]) >= begun:
                denied.add(permission)
    return requested, denied
