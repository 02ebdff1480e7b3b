"""Why a job waits, with the real scheduler, controllers, operator and admission."""

import shlex
from collections.abc import Iterator

import pytest
from mrc_values.cluster import rejections
from preflights import definition
from testcluster.client import Client, CommandFailed, until
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

ONE_GPU_PER_POD = ("maskrcnn.node_group=p4d", "maskrcnn.gpus_per_node=1", "maskrcnn.gpus=8")
"""Eight workers on four nodes: one of them waits when each takes more than half of a node."""


@pytest.mark.parametrize(
    ("reason", "values", "words"),
    [
        ("no-gpus", ["maskrcnn.node_group=p4d", "maskrcnn.gpus=40"], "no node has 8 nvidia.com/gpu free"),
        ("no-gpus", ["maskrcnn.node_group=p4d", "maskrcnn.gpus=40"], "of 18 nodes 4 lack nvidia.com/gpu"),
        ("no-memory", [*ONE_GPU_PER_POD, "maskrcnn.memory=700Gi"], "no node has 700Gi memory free"),
        ("no-cpu", [*ONE_GPU_PER_POD, "maskrcnn.cpu=60"], "no node has 60 cpu free: of 18 nodes 4 lack cpu"),
        ("no-efa", [*ONE_GPU_PER_POD, "maskrcnn.efa=3"], "no node has 3 vpc.amazonaws.com/efa free"),
        (
            "no-hugepages",
            ["maskrcnn.node_group=p4d", "maskrcnn.hugepages=5Gi"],
            "the nodes have no hugepages-2Mi",
        ),
        (
            "node-too-small",
            ["maskrcnn.node_group=p4d", "maskrcnn.memory=2000Gi"],
            "requests 2000Gi memory, the largest node that it can run on has 1057Gi",
        ),
        (
            "device-plugin",
            [f"{TYPE}=m5.2xlarge", "maskrcnn.gpus=1", "maskrcnn.gpus_per_node=1"],
            "the nodes offer no nvidia.com/gpu: of 18 nodes 2 lack nvidia.com/gpu",
        ),
        (
            "node-selector",
            ["maskrcnn.node_group=g4dn", "maskrcnn.gpus=1", "maskrcnn.gpus_per_node=1"],
            "no node has the label node.kubernetes.io/instance-type=g4dn.xlarge (18 nodes)",
        ),
        ("taint", [f"{TYPE}=p4d.24xlarge"], "does not tolerate the taint nvidia.com/gpu"),
        (
            "claim-missing",
            ["maskrcnn.node_group=p4d", "global.shared_pvc=nothing"],
            "the claim nothing does not exist in this namespace",
        ),
        (
            "workers-not-ready",
            ["maskrcnn.node_group=p4d", "maskrcnn.gpus=40"],
            "the launcher starts when all 5 workers are ready",
        ),
    ],
)
def test_a_request_that_no_node_can_satisfy_is_named(
    user: Client, reason: str, values: list[str], words: str
) -> None:
    submit(user, "demo", *values)
    explained = reason_named(user, "demo", reason)
    assert words in explained.text


def test_pods_with_the_same_reason_share_a_line(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.memory=2000Gi", "maskrcnn.gpus=48")
    until(lambda: len(reason_named(user, "demo", "node-too-small").pods) == 6, "six waiting workers")
    explained = reason_named(user, "demo", "node-too-small")
    assert explained.pods == tuple(f"demo-worker-{number}" for number in range(6))
    assert str(explained).startswith(
        "demo-worker-0, demo-worker-1, demo-worker-2 and 3 more: the pod requests "
    )


def test_cordoned_nodes_are_named(user: Client) -> None:
    nodes = [f"p3dn-{number}" for number in range(4)]
    user.kubectl("cordon", *nodes)
    try:
        submit(user, "demo", "maskrcnn.node_group=p3dn")
        assert "of 18 nodes 4 are cordoned" in reason_named(user, "demo", "cordoned").text
    finally:
        user.kubectl("uncordon", *nodes)


@pytest.fixture
def lone(user: Client) -> Iterator[str]:
    """A node of a type of its own, without a kubelet."""
    name = add_node(user, f"lone-{user.namespace}", ready=False)
    yield name
    user.kubectl("delete", "node", name)


def test_a_node_that_is_not_ready_is_named(user: Client, lone: str) -> None:
    submit(user, "demo", f"{TYPE}={lone}", TOLERATION, "maskrcnn.gpus=8")
    explained = reason_named(user, "demo", "nodes-not-ready")
    assert explained.text.startswith("1 of the 1 nodes that it can run on is not ready: of 19 nodes ")


def set_quota(user: Client, name: str, amount: str) -> None:
    meta = {"name": "team", "namespace": user.namespace}
    spec = {"hard": {name: amount}}
    user.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": spec})
    user.wait("quota/team", f"jsonpath={{.status.hard.{name.replace('.', chr(92) + '.')}}}={amount}")


def test_a_quota_is_named_with_its_limit(user: Client) -> None:
    set_quota(user, "requests.nvidia.com/gpu", "8")
    submit(user, "demo", "maskrcnn.node_group=p4d")
    explained = reason_named(user, "demo", "quota")
    assert "the quota team allows requests.nvidia.com/gpu=8" in explained.text
    assert "requests.nvidia.com/gpu=8 is in use" in explained.text


def test_a_quota_that_requires_limits_is_named(user: Client) -> None:
    set_quota(user, "limits.cpu", "100")
    submit(user, "demo", "maskrcnn.node_group=p4d")
    explained = reason_named(user, "demo", "quota-needs-limits")
    assert "only pods that specify limits.cpu for: worker" in explained.text


def test_a_limit_range_is_named(user: Client) -> None:
    limits = [{"type": "Container", "max": {"memory": "4Gi"}}]
    meta = {"name": "small", "namespace": user.namespace}
    user.apply({"apiVersion": "v1", "kind": "LimitRange", "metadata": meta, "spec": {"limits": limits}})
    submit(user, "demo", "maskrcnn.node_group=p4d")
    assert "maximum memory usage per Container is 4Gi" in reason_named(user, "demo", "limit-range").text


def test_pod_security_is_named_with_its_level(user: Client) -> None:
    user.kubectl("label", "namespace", user.namespace, "pod-security.kubernetes.io/enforce=restricted")
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.run_as_user=0")
    assert "Pod Security level restricted:latest" in reason_named(user, "demo", "pod-security").text


def test_a_missing_priority_class_is_named(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.priority_class=urgent")
    assert reason_named(user, "demo", "priority-class-missing").text.endswith(
        "the PriorityClass urgent does not exist"
    )


def test_a_missing_service_account_is_named(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["serviceAccountName"] = "trainer"
    user.apply(job)
    assert (
        f"service account {user.namespace}/trainer"
        in reason_named(user, "demo", "service-account-missing").text
    )


def test_a_policy_of_the_cluster_is_named(user: Client) -> None:
    name = f"no-gpus-{user.namespace}"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    kinds = "admissionregistration.k8s.io/v1"
    user.apply(
        {
            "apiVersion": kinds,
            "kind": "ValidatingAdmissionPolicy",
            "metadata": {"name": name},
            "spec": {
                "matchConstraints": {"resourceRules": [rule]},
                "validations": [{"expression": "false", "message": "images come from our registry only"}],
            },
        },
        {
            "apiVersion": kinds,
            "kind": "ValidatingAdmissionPolicyBinding",
            "metadata": {"name": name},
            "spec": {
                "policyName": name,
                "validationActions": ["Deny"],
                "matchResources": {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": user.namespace}}
                },
            },
        },
    )
    try:
        rejection = ""
        while "denied request" not in rejection:  # the API server takes a moment to know the policy
            try:
                user.kubectl("run", "probe", "--image=x", "--dry-run=server")
            except CommandFailed as error:
                rejection = str(error)
        submit(user, "demo", "maskrcnn.node_group=p4d")
        explained = reason_named(user, "demo", "admission-policy")
        assert f"policy {name} rejects the pod: images come from our registry only" in explained.text
    finally:
        user.kubectl("delete", "validatingadmissionpolicy,validatingadmissionpolicybinding", name)


def test_a_namespace_that_is_being_deleted_is_named(user: Client) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap"}
    meta = {"name": "keep", "namespace": user.namespace, "finalizers": ["test/keep"]}
    user.apply(config | {"metadata": meta})
    user.kubectl("delete", "namespace", user.namespace, "--wait=false")
    with pytest.raises(CommandFailed) as rejected:
        user.kubectl("run", "probe", "--image=x")
    assert rejections.explain(str(rejected.value)).id == "namespace-terminating"
    user.kubectl("patch", "configmap", "keep", '--patch={"metadata":{"finalizers":null}}')


def test_an_existing_object_with_the_jobs_name_is_named(user: Client) -> None:
    user.kubectl("create", "service", "clusterip", "demo", "--tcp=80")
    submit(user, "demo", "maskrcnn.node_group=p4d")
    assert "an object demo exists" in reason_named(user, "demo", "name-taken").text


def test_a_job_that_the_operator_finds_invalid_is_named(user: Client) -> None:
    # The chart's own CRD refuses what the operator would; with Kubeflow's CRD it gets there.
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["spec"]["runPolicy"]["managedBy"] = "kueue.x-k8s.io/multikueue"
    user.apply(job)
    message = (
        "Found validation errors: spec.slotsPerWorker: Required value: must have number of slots per worker"
    )
    add_event(user, user.get("mpijob", "demo"), "ValidationError", message)
    assert "rejects the job: spec.slotsPerWorker" in reason_named(user, "demo", "invalid-job").text


def test_an_operator_that_does_nothing_is_named(user: Client) -> None:
    # An operator leaves a job alone that another controller manages: as good as none.
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["spec"]["runPolicy"]["managedBy"] = "kueue.x-k8s.io/multikueue"
    user.apply(job)
    assert reasons_of(user, "demo") == [], "it may not have had the time"
    assert "has not processed the job" in reason_named(user, "demo", "no-operator", later=True).text


def test_a_missing_scheduler_is_named(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["schedulerName"] = "volcano"
    user.apply(job)
    explained = reason_named(user, "demo", "no-scheduler", later=True)
    assert explained.text == "no scheduler named volcano has processed it"


def test_a_waiting_gang_is_named(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["schedulerName"] = "volcano"
    user.apply(job)
    reason_named(user, "demo", "no-scheduler", later=True)
    message = "2/2 tasks in gang unschedulable: pod group is not ready, 2 Pending, 2 minAvailable"
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    patch_status(user, "pod", "demo-worker-0", {"conditions": [condition]})
    assert "volcano waits until the whole gang fits" in reason_named(user, "demo", "gang").text


def test_a_scheduling_gate_is_named(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    gates = [{"name": "kueue.x-k8s.io/admission"}]
    job["spec"]["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["schedulingGates"] = gates
    user.apply(job)
    assert (
        "held by the scheduling gate kueue.x-k8s.io/admission"
        in reason_named(user, "demo", "scheduling-gate").text
    )


def test_a_suspended_job_is_named(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["spec"]["runPolicy"]["suspend"] = True
    user.apply(job)
    _, _, command = reason_named(user, "demo", "suspended").fix.partition("Resume it with: ")
    program, *words = shlex.split(command)
    assert program == "kubectl"
    user.kubectl(*words)
    assert user.get("mpijob", "demo")["spec"]["runPolicy"]["suspend"] is False


def test_a_job_that_is_being_deleted_is_named(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d")
    job["metadata"]["finalizers"] = ["test/keep"]
    user.apply(job)
    user.kubectl("delete", "mpijob", "demo", "--wait=false")
    reason_named(user, "demo", "job-deleted")
    user.kubectl("patch", "mpijob", "demo", "--type=merge", '--patch={"metadata":{"finalizers":null}}')


@pytest.fixture
def kueue(user: Client) -> Iterator[None]:
    """Kueue's two resources, with whatever fields; what fills them here is written as Kueue writes it."""
    kinds = {"LocalQueue": "localqueues", "Workload": "workloads"}
    user.apply(*(definition("kueue.x-k8s.io", "v1beta1", kind, plural) for kind, plural in kinds.items()))
    names = [f"crd/{plural}.kueue.x-k8s.io" for plural in kinds.values()]
    user.kubectl("wait", *names, "--for=condition=Established", "--timeout=30s")
    yield
    user.kubectl("delete", *names)


@pytest.mark.usefixtures("kueue")
def test_a_queue_is_named_whether_it_is_missing_or_full(user: Client) -> None:
    job = rendered_job(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.queue=team")
    job["spec"]["runPolicy"]["suspend"] = True
    user.apply(job)
    assert "the queue team does not exist" in reason_named(user, "demo", "queue-missing").text
    meta = {"name": "team", "namespace": user.namespace}
    user.apply({"apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "LocalQueue", "metadata": meta, "spec": {}})
    reason_named(user, "demo", "queue")
    owner = {"apiVersion": "kubeflow.org/v2beta1", "kind": "MPIJob", "name": "demo"}
    owner["uid"] = user.get("mpijob", "demo")["metadata"]["uid"]
    full = "couldn't assign flavors to pod set worker: insufficient unused quota for nvidia.com/gpu"
    user.apply(
        {
            "apiVersion": "kueue.x-k8s.io/v1beta1",
            "kind": "Workload",
            "metadata": {"name": "mpijob-demo", "namespace": user.namespace, "ownerReferences": [owner]},
            "status": {"conditions": [{"type": "QuotaReserved", "status": "False", "message": full}]},
        }
    )
    assert "insufficient unused quota for nvidia.com/gpu" in reason_named(user, "demo", "queue").text


@pytest.mark.parametrize(
    ("event", "message", "words"),
    [
        ("TriggeredScaleUp", "pod triggered scale-up: [{p4d 4->5 (max: 8)}]", "is adding a node"),
        (
            "NotTriggerScaleUp",
            "pod didn't trigger scale-up: 1 max node group size reached",
            "does not add one: 1 max node group size reached",
        ),
        ("Nominated", "Pod should schedule on: nodeclaim/gpu-x7k2p", "Karpenter is creating a node"),
    ],
)
def test_the_action_of_an_autoscaler_is_shown(user: Client, event: str, message: str, words: str) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.gpus=40")
    until(lambda: len(reason_named(user, "demo", "no-gpus").pods) == 1, "one waiting worker")
    (waiting,) = reason_named(user, "demo", "no-gpus").pods
    add_event(user, user.get("pod", waiting), event, message, "Normal")
    assert words in reason_named(user, "demo", "no-gpus").text
