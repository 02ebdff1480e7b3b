"""Values of pods and jobs that users of other charts know: each reaches the job in a valid form."""

from collections.abc import Callable
from typing import Any

import pytest
from maskrcnn_chart import CHART, Run, check_job, run
from mrc_values.helm import RenderError
from rendering import CHARTS, check_object, only, render_objects

BOTH = ("Launcher", "Worker")
SPREAD = {
    "maxSkew": 1,
    "topologyKey": "topology.kubernetes.io/zone",
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"team": "vision"}},
}
INIT = {"name": "warm-up", "image": "busybox:1.37", "command": ["true"]}
SCRATCH = {"name": "scratch", "emptyDir": {}}
MOUNT = {"name": "scratch", "mountPath": "/scratch"}


def metadata(rendered: Run, replica: str) -> Any:
    return rendered.spec["mpiReplicaSpecs"][replica]["template"]["metadata"]


FEATURES: dict[str, tuple[dict[str, Any], Callable[[Run], Any], Any]] = {
    "image_pull_secrets": (
        {"image_pull_secrets": ["registry"]},
        lambda r: [r.pod(role)["imagePullSecrets"] for role in BOTH],
        [[{"name": "registry"}]] * 2,
    ),
    "an existing service account": (
        {"service_account": {"name": "training"}},
        lambda r: [r.pod(role)["serviceAccountName"] for role in BOTH],
        ["training"] * 2,
    ),
    "a created service account is named after the job": (
        {"service_account": {"create": True}},
        lambda r: [r.pod(role)["serviceAccountName"] for role in BOTH],
        ["demo"] * 2,
    ),
    "pod_labels": (
        {"pod_labels": {"team": "vision", "app.kubernetes.io/component": "mine"}},
        lambda r: [
            (metadata(r, role)["labels"]["team"], metadata(r, role)["labels"]["app.kubernetes.io/component"])
            for role in BOTH
        ],
        [("vision", "launcher"), ("vision", "worker")],
    ),
    "pod_annotations": (
        {"pod_annotations": {"owner": "vision", "karpenter.sh/do-not-disrupt": "false"}},
        lambda r: [
            (
                metadata(r, role)["annotations"]["owner"],
                metadata(r, role)["annotations"]["karpenter.sh/do-not-disrupt"],
            )
            for role in BOTH
        ],
        [("vision", "true")] * 2,
    ),
    "extra_volumes and extra_volume_mounts": (
        {"extra_volumes": [SCRATCH], "extra_volume_mounts": [MOUNT]},
        lambda r: [
            (SCRATCH in r.pod(role)["volumes"], MOUNT in r.pod(role)["containers"][0]["volumeMounts"])
            for role in BOTH
        ],
        [(True, True)] * 2,
    ),
    "init_containers": (
        {"init_containers": [INIT]},
        lambda r: [r.pod(role)["initContainers"] for role in BOTH],
        [[INIT]] * 2,
    ),
    "affinity of the workers": (
        {"affinity": {"podAntiAffinity": {}}},
        lambda r: (r.pod("Worker")["affinity"], "affinity" in r.pod("Launcher")),
        ({"podAntiAffinity": {}}, False),
    ),
    "topology_spread of the workers": (
        {"topology_spread": [SPREAD]},
        lambda r: (
            r.pod("Worker")["topologySpreadConstraints"],
            "topologySpreadConstraints" in r.pod("Launcher"),
        ),
        ([SPREAD], False),
    ),
    "scheduler_name": (
        {"scheduler_name": "volcano"},
        lambda r: [r.pod(role)["schedulerName"] for role in BOTH],
        ["volcano"] * 2,
    ),
    "active_deadline_seconds": (
        {"active_deadline_seconds": 604800},
        lambda r: r.spec["runPolicy"]["activeDeadlineSeconds"],
        604800,
    ),
    "ttl_seconds_after_finished, also zero": (
        {"ttl_seconds_after_finished": 0},
        lambda r: r.spec["runPolicy"]["ttlSecondsAfterFinished"],
        0,
    ),
    "affinity of the launcher": (
        {"launcher": {"affinity": {"nodeAffinity": {}}}},
        lambda r: (r.pod("Launcher")["affinity"], "affinity" in r.pod("Worker")),
        ({"nodeAffinity": {}}, False),
    ),
    "common labels and annotations": (
        {"global_": {"common_labels": {"team": "vision"}, "common_annotations": {"owner": "vision"}}},
        lambda r: [
            (item["labels"]["team"], item["annotations"]["owner"])
            for item in (r.job["metadata"], metadata(r, "Launcher"), metadata(r, "Worker"))
        ],
        [("vision", "vision")] * 3,
    ),
    "a label of the pods takes precedence over a common one, and the chart's over both": (
        {
            "global_": {"common_labels": {"team": "all", "app.kubernetes.io/name": "mine"}},
            "pod_labels": {"team": "vision"},
        },
        lambda r: [
            (metadata(r, role)["labels"]["team"], metadata(r, role)["labels"]["app.kubernetes.io/name"])
            for role in BOTH
        ],
        [("vision", "maskrcnn")] * 2,
    ),
    "Kueue's queue and priority": (
        {"queue": "gpu", "workload_priority_class": "urgent"},
        lambda r: [
            r.job["metadata"]["labels"][f"kueue.x-k8s.io/{name}"] for name in ("queue-name", "priority-class")
        ],
        ["gpu", "urgent"],
    ),
    "gpu_resource": (
        {"gpu_resource": "nvidia.com/mig-3g.20gb", "gpus": 4, "gpus_per_node": 1},
        lambda r: r.worker["resources"],
        {"limits": {"nvidia.com/mig-3g.20gb": 1}, "requests": {"nvidia.com/mig-3g.20gb": 1}},
    ),
    "MIG devices are not shares of a node": (
        {"node_group": "p4d", "gpu_resource": "nvidia.com/mig-1g.5gb", "gpus": 56, "gpus_per_node": 56},
        lambda r: r.worker["resources"]["limits"],
        {"nvidia.com/mig-1g.5gb": 56},
    ),
    "env_from": (
        {"env_from": [{"secretRef": {"name": "wandb"}}]},
        lambda r: [r.launcher["envFrom"], "envFrom" in r.worker],
        [[{"secretRef": {"name": "wandb"}}], False],
    ),
    "mpirun_args come before the program": (
        {"mpirun_args": ["--mca", "btl_tcp_if_include", "eth0", 7]},
        lambda r: r.launcher["args"][r.launcher["args"].index("mrc-train") - 4 :][:4],
        ["--mca", "btl_tcp_if_include", "eth0", "7"],
    ),
    "suspend": ({"suspend": True}, lambda r: r.spec["runPolicy"]["suspend"], True),
}


@pytest.mark.parametrize(("values", "extract", "expected"), FEATURES.values(), ids=FEATURES)
def test_a_value_reaches_the_job(
    values: dict[str, Any], extract: Callable[[Run], Any], expected: Any
) -> None:
    rendered = run(**values)
    check_job(rendered.job)
    assert extract(rendered) == expected


def test_a_created_service_account_carries_the_role_of_irsa() -> None:
    annotations = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/training"}
    values = {"image": "trainer:1", "service_account": {"create": True, "annotations": annotations}}
    account = only(render_objects(CHART, {"maskrcnn": values}), "ServiceAccount")
    check_object(account)
    assert account["metadata"]["name"] == "demo"
    assert account["metadata"]["annotations"] == annotations


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"extra_volumes": [{"name": "efs", "emptyDir": {}}]},
            "maskrcnn.extra_volumes: the name efs is already in use. Rename the volume",
        ),
        (
            {"extra_volumes": [{"name": "ssh-auth", "emptyDir": {}}]},
            "maskrcnn.extra_volumes: the name ssh-auth is already in use. Rename the volume",
        ),
        (
            {"extra_volumes": [SCRATCH, SCRATCH]},
            "maskrcnn.extra_volumes: there are two volumes called scratch. Rename one",
        ),
        (
            {"extra_volumes": [SCRATCH], "extra_volume_mounts": [{**MOUNT, "mountPath": "/dev/shm/"}]},
            "maskrcnn.extra_volume_mounts: /dev/shm is already in use. Choose another mountPath",
        ),
        (
            {"extra_volumes": [SCRATCH], "extra_volume_mounts": [MOUNT, MOUNT]},
            "maskrcnn.extra_volume_mounts: /scratch is already in use. Choose another mountPath",
        ),
        (
            # The launcher has no such volume.
            {"extra_volume_mounts": [{"name": "shm", "mountPath": "/cache"}]},
            "maskrcnn.extra_volume_mounts: there is no volume shm. Add it to maskrcnn.extra_volumes",
        ),
        (
            {"extra_volume_mounts": [MOUNT]},
            "maskrcnn.extra_volume_mounts: there is no volume scratch. Add it to maskrcnn.extra_volumes",
        ),
    ],
)
def test_a_volume_that_conflicts_or_is_missing_is_an_error(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RenderError) as rejected:
        run(**values)
    assert rejected.value.message == message


def test_extra_objects_are_templates_in_the_namespace_of_the_job() -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "data": {"HTTPS_PROXY": "http://proxy:3128"}}
    own = {**config, "metadata": {"name": "{{ .Release.Name }}-proxy"}}
    other = {**config, "metadata": {"name": "proxy", "namespace": "elsewhere"}}
    values = {"image": "trainer:1", "extra_deploy": [own, other]}
    extra = [item for item in render_objects(CHART, {"maskrcnn": values}) if item["kind"] == "ConfigMap"]
    assert [item["metadata"] for item in extra] == [
        {"name": "demo-proxy", "namespace": "kubeflow"},
        {"name": "proxy", "namespace": "elsewhere"},
    ]
    assert [item["data"] for item in extra] == [config["data"]] * 2


def test_common_labels_are_on_all_objects_of_all_charts_but_select_nothing() -> None:
    values = {
        "global": {"common_labels": {"team": "vision"}},
        "maskrcnn": {"image": "trainer:1", "service_account": {"create": True}},
        "jupyter": {"enabled": True, "image": "lab:1"},
    }
    rendered = [
        *render_objects(CHART, values),
        *render_objects(CHARTS / "mpijob", {"global": values["global"]}),
    ]
    assert {item["metadata"]["labels"].get("team") for item in rendered} == {"vision"}
    for item in rendered:
        if item["kind"] == "Deployment":
            assert item["spec"]["template"]["metadata"]["labels"]["team"] == "vision"
            assert "team" not in item["spec"]["selector"]["matchLabels"]
        if item["kind"] == "Service":
            assert "team" not in item["spec"]["selector"]


def test_pods_of_a_job_accept_connections_only_from_one_another_on_request() -> None:
    values = {"image": "trainer:1", "run": "b", "network_policy": True}
    policy = only(render_objects(CHART, {"maskrcnn": values}), "NetworkPolicy")
    check_object(policy)
    pods = {"matchLabels": {"training.kubeflow.org/job-name": "demo-b"}}
    assert policy["spec"] == {
        "podSelector": pods,
        "policyTypes": ["Ingress"],
        "ingress": [{"from": [{"podSelector": pods}]}],
    }
