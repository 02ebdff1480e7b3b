"""The findings of the preflight of mrc-values, each provoked on the real API server."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from accounts import account
from preflights import ERROR, P4D, WARNING, claim, definition, findings_of, given, messages, program, volume
from releases import end_launcher, install
from testcluster.charts import CHARTS
from testcluster.client import Client, Object, until
from testcluster.cluster import Cluster


@pytest.mark.parametrize("group", ["p4d", "g5"])
def test_a_cluster_with_everything_that_a_job_needs_has_no_findings(user: Client, group: str) -> None:
    assert findings_of(user, f"maskrcnn.node_group={group}", "maskrcnn.gpus=32") == []


def test_the_namespace_must_exist(user: Client) -> None:
    findings = findings_of(user, P4D, "global.namespace=nowhere", namespace="default")
    assert messages(findings, "MRC104", ERROR) == [
        "global.namespace: the namespace nowhere does not exist. Create it: kubectl create "
        "namespace nowhere. It needs its own claims."
    ]


# Claims


def test_a_claim_that_does_not_exist_is_named_with_those_that_do(user: Client) -> None:
    assert messages(findings_of(user, P4D, "global.shared_pvc=mine"), "MRC110", ERROR) == [
        f"global.shared_pvc: the claim mine does not exist in the namespace {user.namespace}. Create it "
        "(docs/claims.md), or use another one. Existing ones: tensorpack-efs-gp-bursting, tensorpack-fsx."
    ]


def test_a_claim_for_the_data_alone_is_reported_at_the_value_for_the_data(user: Client) -> None:
    findings = findings_of(user, P4D, "maskrcnn.data_fs=fsx", "maskrcnn.data_pvc=mine")
    assert [text.split(":")[0] for text in messages(findings, "MRC110", ERROR)] == ["maskrcnn.data_pvc"]


@pytest.mark.parametrize(
    ("pending", "why"),
    [
        (claim("mine", volume="gone"), "is Pending, and the volume gone does not exist."),
        (
            claim("mine", storage_class="gone"),
            "is Pending, and the storage class gone does not exist.",
        ),
    ],
)
def test_a_claim_without_a_volume_stops_the_install(user: Client, pending: Object, why: str) -> None:
    user.apply(pending)
    until(lambda: user.get("pvc", "mine")["status"].get("phase") == "Pending", "a pending claim")
    (text,) = messages(findings_of(user, P4D, "global.shared_pvc=mine"), "MRC111", ERROR)
    assert text.startswith(f"global.shared_pvc: the claim mine {why}")


def test_a_claim_that_waits_for_its_first_pod_is_a_warning(user: Client) -> None:
    storage_class = {
        "apiVersion": "storage.k8s.io/v1",
        "kind": "StorageClass",
        "metadata": {"name": f"{user.namespace}-late"},
        "provisioner": "efs.csi.aws.com",
        "volumeBindingMode": "WaitForFirstConsumer",
    }
    user.apply(storage_class, claim("mine", storage_class=f"{user.namespace}-late"))
    until(lambda: user.get("pvc", "mine")["status"].get("phase") == "Pending", "a pending claim")
    findings = findings_of(user, P4D, "global.shared_pvc=mine")
    assert [finding.rule for finding in findings if finding.severity is ERROR] == []
    assert "creates one for the first pod" in messages(findings, "MRC111", WARNING)[0]


@pytest.mark.parametrize(
    ("mode", "driver", "rule", "severity", "words"),
    [
        ("ReadWriteOnce", "efs.csi.aws.com", "MRC112", ERROR, "has the access mode ReadWriteOnce"),
        (
            "ReadWriteMany",
            "fsx.csi.aws.com",
            "MRC113",
            ERROR,
            "fsx.csi.aws.com (FSx), but it is mounted as /efs",
        ),
        ("ReadWriteMany", "ebs.csi.aws.com", "MRC113", ERROR, "ebs.csi.aws.com (a disk of one node)"),
        ("ReadWriteMany", "nfs.csi.k8s.io", "MRC113", WARNING, "nfs.csi.k8s.io, but it is mounted as /efs"),
    ],
)
def test_a_claim_that_is_not_on_efs_or_not_for_many_nodes_is_reported(
    user: Client, mode: str, driver: str, rule: str, severity: str, words: str
) -> None:
    name = f"{user.namespace}-mine"
    holder = {"namespace": user.namespace, "name": "mine"}
    user.apply(volume(name, driver, holder, mode, options=("flock",)), claim("mine", name, mode))
    until(lambda: user.get("pvc", "mine")["status"].get("phase") == "Bound", "a bound claim")
    findings = findings_of(user, P4D, "global.shared_pvc=mine")
    assert [(finding.rule, finding.severity) for finding in findings] == [(rule, severity)]
    assert words in findings[0].message


@pytest.mark.parametrize(("options", "rules"), [((), ["MRC114"]), (("noatime", "flock"), [])])
def test_lustre_without_locks_stops_the_install(
    user: Client, options: tuple[str, ...], rules: list[str]
) -> None:
    name = f"{user.namespace}-lustre"
    holder = {"namespace": user.namespace, "name": "lustre"}
    user.apply(volume(name, "fsx.csi.aws.com", holder, options=options), claim("lustre", name))
    until(lambda: user.get("pvc", "lustre")["status"].get("phase") == "Bound", "a bound claim")
    findings = findings_of(
        user, P4D, "global.shared_fs=fsx", "global.shared_pvc=lustre", "maskrcnn.data_fs=efs"
    )
    assert [finding.rule for finding in findings if finding.severity is ERROR] == rules


# Quota and limits


def quota(user: Client, **hard: str) -> None:
    flags = ",".join(f"{name.replace('__', '/').replace('_', '.')}={amount}" for name, amount in hard.items())
    user.kubectl("create", "quota", "team", f"--hard={flags}")
    until(lambda: "hard" in user.get("quota", "team").get("status", {}), "the quota's status")


def test_a_quota_below_the_requests_of_the_job_stops_the_install(user: Client) -> None:
    user.apply(
        {
            "apiVersion": "v1",
            "kind": "ResourceQuota",
            "metadata": {"name": "team"},
            "spec": {"hard": {"requests.nvidia.com/gpu": "8"}},
        }
    )
    until(lambda: "hard" in user.get("quota", "team").get("status", {}), "the quota's status")
    assert messages(findings_of(user, P4D), "MRC130", ERROR) == [
        "maskrcnn.gpus: the quota team allows 8 requests.nvidia.com/gpu, and the release requests "
        "16 requests.nvidia.com/gpu. Request less, or ask for a larger quota."
    ]


def test_a_quota_that_other_pods_use_up_is_a_warning(user: Client) -> None:
    quota(user, pods="5")
    user.kubectl("create", "deployment", "other", "--image=pause", "--replicas=3")
    until(lambda: user.get("quota", "team")["status"].get("used", {}).get("pods") == "3", "three pods")
    (text,) = messages(findings_of(user, P4D), "MRC130", WARNING)
    assert "the quota team allows 5 pods, of which 3 pods are in use, and the release requests 4 pods" in text


def test_a_quota_for_a_resource_that_pods_do_not_set_rejects_them(user: Client) -> None:
    quota(user, limits_cpu="1000")
    (text,) = messages(findings_of(user, P4D), "MRC131", ERROR)
    assert text.startswith(
        "maskrcnn.cpu: the quota team limits limits.cpu, so Kubernetes rejects pods that do not set it: "
        "the worker, the launcher, tensorboard."
    )
    user.apply(limit_range({"type": "Container", "default": {"cpu": "8"}}))
    assert messages(findings_of(user, P4D), "MRC131", ERROR) == []


def limit_range(limit: Object) -> Object:
    return {
        "apiVersion": "v1",
        "kind": "LimitRange",
        "metadata": {"name": "team"},
        "spec": {"limits": [limit]},
    }


def test_a_limit_below_the_requests_of_a_worker_stops_the_install(user: Client) -> None:
    user.apply(limit_range({"type": "Container", "max": {"memory": "64Gi"}}))
    assert messages(findings_of(user, P4D), "MRC132", ERROR) == [
        "maskrcnn.memory: the LimitRange team allows a container 64 GiB memory, and the worker requests "
        "951.6 GiB memory. Request less, or have the limit changed."
    ]


# Names


def test_a_priority_class_must_exist(user: Client) -> None:
    values = (P4D, f"maskrcnn.priority_class={user.namespace}")
    (text,) = messages(findings_of(user, *values), "MRC140", ERROR)
    assert text.startswith(f"maskrcnn.priority_class: the PriorityClass {user.namespace} does not exist, ")
    user.kubectl("create", "priorityclass", user.namespace, "--value=1")
    try:
        assert findings_of(user, *values) == []
    finally:
        user.kubectl("delete", "priorityclass", user.namespace)


def test_a_secret_for_the_environment_must_exist(user: Client) -> None:
    reference = "maskrcnn.env.KEY.valueFrom.secretKeyRef"
    values = (P4D, f"{reference}.name=wandb", f"{reference}.key=key")
    assert messages(findings_of(user, *values), "MRC141", ERROR) == [
        f"maskrcnn.env: the Secret wandb does not exist in the namespace {user.namespace}, but the pods "
        "refer to it. Create it, or use an existing one."
    ]
    user.kubectl("create", "secret", "generic", "wandb", "--from-literal=key=x")
    assert findings_of(user, *values) == []


def test_a_queue_needs_kueue_and_must_exist(user: Client) -> None:
    values = (P4D, "maskrcnn.queue=team")
    assert (
        "Kueue is not installed, so the queue team would be ignored"
        in messages(findings_of(user, *values), "MRC142", ERROR)[0]
    )
    user.apply(definition("kueue.x-k8s.io", "v1beta1", "LocalQueue", "localqueues"))
    user.wait("crd/localqueues.kueue.x-k8s.io", "condition=Established")
    try:
        assert (
            "the LocalQueue team does not exist" in messages(findings_of(user, *values), "MRC142", ERROR)[0]
        )
        user.apply(
            {"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "LocalQueue", "metadata": {"name": "team"}}
        )
        assert findings_of(user, *values) == []
    finally:
        user.kubectl("delete", "crd", "localqueues.kueue.x-k8s.io")


# The operator


def test_a_crd_of_version_1_is_a_finding_with_a_way_out(bare: Client) -> None:
    bare.apply(definition("kubeflow.org", "v1", "MPIJob", "mpijobs"))
    bare.wait("crd/mpijobs.kubeflow.org", "condition=Established")
    (text,) = messages(findings_of(bare, P4D), "MRC101", ERROR)
    assert text.startswith("the MPIJob CRD has only version v1, which belongs to another operator")
    for command in re.findall("`kubectl (.*?)`", text):
        bare.kubectl(*command.split())
    until(lambda: "MPIJob CRD is not" in messages(findings_of(bare, P4D), "MRC101", ERROR)[0], "no CRD")


def test_two_operators_of_one_namespace_are_a_warning(user: Client) -> None:
    container = {
        "name": "operator",
        "image": "registry.example/mpioperator-mpi-operator:0.6.0",
        "args": [f"--namespace={user.namespace}"],
    }
    labels = {"app": "second"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    user.apply(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "second"},
            "spec": {"selector": {"matchLabels": labels}, "template": template},
        }
    )
    user.wait("deployment/second", "condition=Available")
    (text,) = messages(findings_of(user, P4D), "MRC102", WARNING)
    assert text.startswith(
        f"2 MPI Operators watch the namespace {user.namespace}: kubeflow/mpijob-operator, "
        f"{user.namespace}/second."
    )


def test_gang_scheduling_needs_the_operators_flag(user: Client) -> None:
    assert messages(findings_of(user, P4D, "maskrcnn.gang=true"), "MRC103", WARNING) == [
        "maskrcnn.gang: the MPI Operator kubeflow/mpijob-operator runs without --gang-scheduling, so "
        "workers do not wait until all of them fit. Set operator.gang_scheduling of the chart mpijob to "
        "your gang scheduler, or gang to false."
    ]


def test_an_operator_that_is_down_stops_the_install(user: Client) -> None:
    client, operator = Client(user.cluster, "kubeflow"), "deployment/mpijob-operator"
    client.kubectl("scale", operator, "--replicas=0")
    until(
        lambda: not client.get("deployment", "mpijob-operator")["status"].get("availableReplicas"),
        "no operator",
    )
    try:
        assert messages(findings_of(user, P4D), "MRC102", ERROR) == [
            "the MPI Operator kubeflow/mpijob-operator is not available. "
            "See kubectl get pods --namespace kubeflow."
        ]
    finally:
        client.kubectl("scale", operator, "--replicas=1")
        client.wait(operator, "condition=Available")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A cluster without anything in it, but a namespace kubeflow with the claims."""
    cluster = Cluster(tmp_path_factory.mktemp("bare"))
    cluster.up({"cpu": 1, "p4d": 2}, with_caller=True)
    try:
        client = Client(cluster, "kubeflow")
        client.kubectl("create", "namespace", "kubeflow")
        yield client
    finally:
        cluster.down()


def test_without_the_crd_or_the_operator_the_finding_says_how_to_install_them(
    bare: Client,
) -> None:
    assert messages(findings_of(bare, P4D), "MRC101", ERROR) == [
        "the MPIJob CRD is not installed. "
        "Install the CRD and the operator: helm install mpijob charts/mpijob."
    ]
    chart = str(CHARTS / "mpijob")
    installed = program(
        bare, "install", "mpijob", chart, "--namespace=default", "--set=operator.enabled=false"
    )
    assert installed.returncode == 0, installed.stderr
    assert messages(findings_of(bare, P4D), "MRC102", ERROR) == [
        "no MPI Operator is running, so the job would never start. "
        "Install it: helm install mpijob charts/mpijob."
    ]
    Client(bare.cluster, "default").helm(
        "upgrade", "mpijob", chart, "--set=operator.scope=namespace", "--wait"
    )
    bare.kubectl("create", "namespace", "other")
    other = Client(bare.cluster, "other")
    assert messages(findings_of(other, P4D), "MRC102", ERROR) == [
        "global.namespace: the MPI Operator kubeflow/mpijob-operator watches only the namespace kubeflow, "
        "but the job is in other. Set global.namespace to kubeflow, or operator.scope of the chart mpijob "
        "to cluster."
    ]


# The run


def test_the_settings_of_a_live_run_cannot_change(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    changed = (P4D, "maskrcnn.steps_per_epoch=100")
    assert messages(findings_of(user, *changed, upgrade=True), "MRC106", ERROR) == [
        f"maskrcnn.run: the run {user.namespace}/demo exists with other settings, and a job that exists "
        "cannot take new ones. Set maskrcnn.run for a new run, or delete and install to resume with other "
        "settings."
    ]
    assert findings_of(user, *changed, "maskrcnn.run=b", upgrade=True, end_runs=("demo",)) == []


def test_an_upgrade_does_not_end_a_live_run_unless_it_is_named(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    install(user, "other", "maskrcnn", P4D, "maskrcnn.gpus=8")
    user.running("demo")
    values = (P4D, "maskrcnn.run=b")
    assert messages(findings_of(user, *values, upgrade=True), "MRC107", ERROR) == [
        f"maskrcnn.run: the upgrade would delete the run {user.namespace}/demo, which is running. Wait until "
        "it has finished, add --end-run demo to end it, or install the new run as a second release."
    ]
    assert messages(findings_of(user, *values, upgrade=True, end_runs=("demo",)), "MRC107", ERROR) == []
    end_launcher(user, "demo", 0)
    user.wait("mpijob/demo", "condition=Succeeded")
    assert messages(findings_of(user, *values, upgrade=True), "MRC107", ERROR) == []


def test_a_run_of_another_release_keeps_its_name(user: Client) -> None:
    install(user, "one", "maskrcnn", P4D, "maskrcnn.name=demo")
    (text,) = messages(findings_of(user, P4D, "maskrcnn.name=demo", release="two"), "MRC106", ERROR)
    assert f"already exists and belongs to the release {user.namespace}/one" in text


# Rights


def test_missing_permissions_to_read_are_warnings_and_to_create_are_errors(
    user: Client, tmp_path: Path
) -> None:
    reader = account(
        user, tmp_path, "reader", "get,list:persistentvolumeclaims,secrets,resourcequotas,limitranges"
    )
    findings = findings_of(user, P4D, kubeconfig=reader)
    unread = "\n".join(messages(findings, "MRC199", WARNING))
    for words in (
        "you are not allowed to list nodes (403)",
        "you are not allowed to get persistentvolumes, name ",
        "get namespaces",
    ):
        assert words in unread
    errors = messages(findings, "MRC105", ERROR)
    where = f"in the namespace {user.namespace} (the release has demo)"
    assert any(
        f"you are not allowed to get or create mpijobs.kubeflow.org {where}" in text for text in errors
    )
    assert len(errors) == 5, "Helm's secrets, the job, its launcher, TensorBoard's deployment and service"


def test_a_user_with_permissions_for_one_namespace_can_install(user: Client, tmp_path: Path) -> None:
    member = account(user, tmp_path, "member", "*:*", "*:*.apps", "*:*.kubeflow.org", "get:jobs.batch")
    findings = findings_of(user, P4D, kubeconfig=member)
    assert {(finding.rule, finding.severity) for finding in findings} == {("MRC199", WARNING)}
    done = program(user, "install", "demo", CHARTS / "maskrcnn", f"--kubeconfig={member}", *given(user, P4D))
    assert done.returncode == 0, done.stderr
    user.running("demo")
