"""The serve chart: what each value does."""

from collections.abc import Callable
from typing import Any

import pytest
from rendering import OLDEST, check_object, only
from server_charts import Server, restricted_violations, server

FEATURES: dict[str, tuple[dict[str, Any], Callable[[Server], Any], Any]] = {
    "the model is a directory of the shared file system, which can only be read": (
        {"model": "kubeflow/exported/"},
        lambda s: (s.container["args"][0], s.mounts, s.env["SHARED_FS"]),
        (
            "$(SHARED_FS)/kubeflow/exported",
            {"/efs": "tensorpack-efs-gp-bursting (ro)", "/tmp": "empty"},
            "/efs",
        ),
    ),
    "it may be the other one": (
        {"global_": {"shared_fs": "fsx", "shared_pvc": "pv-fsx"}},
        lambda s: (s.mounts["/fsx"], s.env["SHARED_FS"]),
        ("pv-fsx (ro)", "/fsx"),
    ),
    "ports": (
        {"port": 8000, "target_port": 9000},
        lambda s: (s.service["spec"]["ports"][0]["port"], s.container["args"][-2:]),
        (8000, ["--port", "9000"]),
    ),
    "queue and timeout": (
        {"queue": 3, "timeout": 2.5},
        lambda s: (s.env["MRC_SERVE_QUEUE"], s.env["MODEL_SERVER_TIMEOUT"]),
        ("3", "2.5"),
    ),
    "the server decides on workers": ({}, lambda s: "MODEL_SERVER_WORKERS" in s.env, False),
    "unless they are set": ({"workers": 4}, lambda s: s.env["MODEL_SERVER_WORKERS"], "4"),
    "replicas": ({"replicas": 3}, lambda s: s.deployment["spec"]["replicas"], 3),
    "without GPUs by default": ({}, lambda s: "nvidia.com/gpu" in s.container["resources"]["limits"], False),
    "GPUs are limits and tolerate the taint of their nodes": (
        {"gpus": 1},
        lambda s: (s.container["resources"]["limits"]["nvidia.com/gpu"], s.pod["tolerations"]),
        (1, [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]),
    ),
    "all probes ask /ping": (
        {},
        lambda s: {
            s.container[f"{probe}Probe"]["httpGet"]["path"] for probe in ("startup", "readiness", "liveness")
        },
        {"/ping"},
    ),
    "a pod may finish what it accepted": (
        {},
        lambda s: (
            s.pod["terminationGracePeriodSeconds"],
            s.container["lifecycle"]["preStop"]["exec"]["command"],
        ),
        (40, ["sleep", "5"]),
    ),
    "no autoscaler by default": (
        {},
        lambda s: [item["kind"] for item in s.objects].count("HorizontalPodAutoscaler"),
        0,
    ),
    "no network policy on request": (
        {"network_policy": False},
        lambda s: [item["kind"] for item in s.objects].count("NetworkPolicy"),
        0,
    ),
}


@pytest.mark.parametrize("feature", FEATURES)
def test_feature(feature: str) -> None:
    values, extract, expected = FEATURES[feature]
    assert extract(server("serve", **values)) == expected


def test_the_pod_is_restricted_and_its_root_file_system_can_only_be_read() -> None:
    rendered = server("serve")
    assert restricted_violations(rendered.pod) == []
    assert rendered.pod["automountServiceAccountToken"] is False
    assert rendered.pod["enableServiceLinks"] is False
    assert rendered.container["securityContext"]["readOnlyRootFilesystem"] is True


def test_an_autoscaler_takes_the_place_of_replicas() -> None:
    rendered = server("serve", autoscaling={"enabled": True, "max_replicas": 7})
    scaler = only(rendered.objects, "HorizontalPodAutoscaler")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (1, 7)
    assert scaler["scaleTargetRef"]["name"] == rendered.deployment["metadata"]["name"]
    assert "replicas" not in rendered.deployment["spec"]


def test_only_the_namespace_and_the_load_balancers_networks_may_connect() -> None:
    policy = only(server("serve").objects, "NetworkPolicy")["spec"]
    assert policy["ingress"] == [{"ports": [{"port": "http"}], "from": [{"podSelector": {}}]}]
    assert policy["policyTypes"] == ["Ingress", "Egress"]
    assert "egress" not in policy
    public = server("serve", service={"type": "LoadBalancer"}, global_={"source_cidr": "192.0.2.0/24"})
    (rule,) = only(public.objects, "NetworkPolicy")["spec"]["ingress"]
    assert rule["from"] == [{"podSelector": {}}, {"ipBlock": {"cidr": "192.0.2.0/24"}}]


@pytest.mark.parametrize("version", [OLDEST, None])
def test_every_object_is_valid(version: str | None) -> None:
    values = {"service": {"type": "LoadBalancer"}, "global_": {"source_cidr": "192.0.2.0/24"}}
    for item in server("serve", gpus=1, workers=2, autoscaling={"enabled": True}, **values).objects:  # type: ignore[arg-type]
        check_object(item, *([version] if version else []))


def test_notes_have_the_next_commands() -> None:
    assert server("serve", release="serve").notes.strip().splitlines() == [
        "The model /efs/kubeflow/exported of the claim tensorpack-efs-gp-bursting is served in the namespace "
        "kubeflow.",
        "",
        "A page to try it, at http://localhost:8080:",
        "  kubectl port-forward --namespace kubeflow service/serve 8080:80",
        "",
        "Detections in an image, through the same port:",
        "  curl --data-binary @image.jpg 'http://localhost:8080/invocations?threshold=0.7'",
        "",
        "Its log, with why it does not start:",
        "  kubectl logs --namespace kubeflow deployment/serve",
    ]
