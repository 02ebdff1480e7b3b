"""The values that users of other charts know, on the control plane with both versions of Helm."""

import json
from pathlib import Path

import yaml
from releases import GIVEN
from testcluster.charts import CHARTS
from testcluster.client import Client

VALUES = {
    "global": {
        "namespace": "",
        "source_cidr": "192.0.2.0/24",
        "common_labels": {"team": "vision"},
        "common_annotations": {"owner": "vision"},
    },
    "maskrcnn": {
        "node_group": "p4d",
        "gpus": 8,
        "env_from": [{"configMapRef": {"name": "proxy"}}, {"secretRef": {"name": "token", "optional": True}}],
        "mpirun_args": ["--report-bindings"],
        "extra_volumes": [{"name": "scratch", "emptyDir": {}}],
        "extra_volume_mounts": [{"name": "scratch", "mountPath": "/scratch"}],
        "launcher": {"affinity": {"nodeAffinity": {}}},
        "workload_priority_class": "urgent",
        "queue": "",
        "extra_deploy": [
            {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "proxy"}, "data": {"PROXY": "p"}},
            # Of a kind without namespaces: the API server ignores the one that the chart adds.
            {
                "apiVersion": "scheduling.k8s.io/v1",
                "kind": "PriorityClass",
                "metadata": {"name": "{{ .Release.Namespace }}-high"},
                "value": 1000,
            },
        ],
        "priority_class": "",
    },
    "jupyter": {
        "enabled": True,
        "image": "lab:1",
        "service": {"annotations": {"owner": "data"}},
        "ingress": {"enabled": True, "class_name": "alb", "hosts": ["lab.example.com"], "tls_secret": "tls"},
    },
    "tensorboard": {"ingress": {"enabled": True}},
}


def test_the_api_server_accepts_every_value_and_the_job_runs(user: Client, helm: str, tmp_path: Path) -> None:
    user = user.with_program(helm)
    file = tmp_path / "values.yaml"
    file.write_text(yaml.safe_dump(VALUES))
    image = [f"--set={value}" for value in GIVEN["maskrcnn"]]
    user.helm("install", "demo", str(CHARTS / "maskrcnn"), f"--values={file}", *image)
    user.running("demo")
    for pod in (*user.pods("demo", "launcher"), *user.pods("demo", "worker")):
        assert pod["metadata"]["labels"]["team"] == "vision"
    (launcher,) = user.pods("demo", "launcher")
    names = [volume["name"] for volume in launcher["spec"]["volumes"]]
    assert {"env-from-0", "env-from-1", "scratch"} <= set(names)
    assert user.get("ingress", "demo-jupyter")["spec"]["ingressClassName"] == "alb"
    assert user.get("service", "demo-jupyter")["metadata"]["annotations"]["owner"] == "data"
    assert user.get("configmap", "proxy")["data"] == {"PROXY": "p"}
    high = user.get("priorityclass", f"{user.namespace}-high")
    assert "namespace" not in high["metadata"]
    user.helm("delete", "demo")


def test_mig_devices_are_scheduled_where_they_are_advertised(user: Client) -> None:
    resource = "nvidia.com/mig-3g.20gb"
    node = json.loads(user.kubectl("get", "nodes", "--output=json"))["items"][0]["metadata"]["name"]
    patch = json.dumps({"status": {kind: {resource: "8"} for kind in ("capacity", "allocatable")}})
    user.kubectl("patch", "node", node, "--subresource=status", "--type=merge", f"--patch={patch}")
    flags = [
        *(f"--set={value}" for value in GIVEN["maskrcnn"]),
        "--set=global.namespace=,maskrcnn.gpus=2,maskrcnn.gpus_per_node=1,tensorboard.enabled=false",
        f"--set=maskrcnn.gpu_resource={resource}",
        "--set=maskrcnn.tolerations[0].operator=Exists",
    ]
    user.helm("install", "demo", str(CHARTS / "maskrcnn"), *flags)
    user.running("demo")
    assert {pod["spec"]["nodeName"] for pod in user.pods("demo", "worker")} == {node}
