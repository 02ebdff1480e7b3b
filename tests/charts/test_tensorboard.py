"""The tensorboard chart: what each value does, and the real program with what is rendered."""

import json
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from server_charts import WAYS, Server, restricted_violations, server, tensorboard

both_ways = pytest.mark.parametrize("way", WAYS)


def logdir(rendered: Server) -> str:
    args: list[str] = rendered.container["args"]
    return args[args.index("--logdir") + 1]


FEATURES: dict[str, tuple[dict[str, Any], Callable[[Server], Any], Any]] = {
    "it shows all runs of the namespace": ({}, logdir, "$(SHARED_FS)/kubeflow"),
    "also in another namespace": (
        {"global_": {"namespace": ""}, "namespace": "vision"},
        lambda s: (logdir(s), s.service["metadata"]["namespace"]),
        ("$(SHARED_FS)/vision", "vision"),
    ),
    "or a directory": ({"log_dir": "old/logs/"}, logdir, "$(SHARED_FS)/old/logs"),
    "the file system can only be read": (
        {},
        lambda s: (s.mounts, s.env["SHARED_FS"]),
        ({"/efs": "tensorpack-efs-gp-bursting (ro)", "/tmp": "empty"}, "/efs"),
    ),
    "it may be the other one": (
        {"global_": {"shared_fs": "fsx", "shared_pvc": "pv-fsx"}},
        lambda s: (s.mounts, s.env["SHARED_FS"]),
        ({"/fsx": "pv-fsx (ro)", "/tmp": "empty"}, "/fsx"),
    ),
    "a public image, with a version": (
        {},
        lambda s: (s.container["image"], s.container["imagePullPolicy"]),
        ("docker.io/tensorflow/tensorflow:2.19.0", "IfNotPresent"),
    ),
    "or another": (
        {"image": "tensorboard:1", "image_pull_policy": "Always"},
        lambda s: (s.container["image"], s.container["imagePullPolicy"]),
        ("tensorboard:1", "Always"),
    ),
    "ports": (
        {"port": 8080, "target_port": 7007},
        lambda s: (s.service["spec"]["ports"][0]["port"], s.container["args"][2:4]),
        (8080, ["--port", "7007"]),
    ),
    "the old upstream_port changes nothing": (
        {"upstream_port": 9999},
        lambda s: "9999" in str(s.objects),
        False,
    ),
    "any node by default": ({}, lambda s: {"nodeSelector", "tolerations"} & set(s.pod), set()),
    "nodes by label": (
        {"node_selector": {"kubernetes.io/arch": "amd64"}},
        lambda s: s.pod["nodeSelector"],
        {"kubernetes.io/arch": "amd64"},
    ),
    "and with taints": (
        {"tolerations": [{"key": "dedicated", "operator": "Exists"}]},
        lambda s: s.pod["tolerations"],
        [{"key": "dedicated", "operator": "Exists"}],
    ),
    "resources": (
        {"resources": {"limits": {"memory": "9Gi"}}},
        lambda s: s.container["resources"],
        {"requests": {"cpu": "250m", "memory": "1Gi"}, "limits": {"memory": "9Gi"}},
    ),
    "no resources": ({"resources": None}, lambda s: s.container["resources"], {}),
    "the user who may read the logs": (
        {"run_as_user": 2000, "run_as_group": 3000},
        lambda s: [s.pod["securityContext"][name] for name in ("runAsUser", "runAsGroup")],
        [2000, 3000],
    ),
}


@both_ways
@pytest.mark.parametrize("feature", FEATURES)
def test_feature(feature: str, way: str) -> None:
    values, extract, expected = FEATURES[feature]
    assert extract(server("tensorboard", way, **values)) == expected


@both_ways
def test_the_pod_is_restricted_and_has_no_access_to_the_cluster(way: str) -> None:
    pod = server("tensorboard", way).pod
    assert restricted_violations(pod) == []
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


def test_notes_name_the_next_command_and_what_is_shown() -> None:
    assert server("tensorboard", release="tensorboard").notes.strip().splitlines() == [
        "TensorBoard, at http://localhost:6006:",
        "  kubectl port-forward --namespace kubeflow service/tensorboard 6006:80",
        "",
        "It shows /efs/kubeflow of the claim tensorpack-efs-gp-bursting, in the namespace kubeflow.",
    ]


def test_the_real_program_serves_a_directory_that_does_not_exist_yet(tmp_path: Path) -> None:
    with (
        tensorboard(tmp_path / "efs", tmp_path) as address,
        urlopen(f"{address}/data/environment", timeout=10) as answer,
    ):
        assert json.load(answer)["data_location"] == str(tmp_path / "efs" / "kubeflow")


EXPOSED = [{"service": {"type": "LoadBalancer"}}, {"ingress": {"enabled": True}}]


@both_ways
@pytest.mark.parametrize("exposed", EXPOSED, ids=["LoadBalancer", "Ingress"])
def test_whoever_connects_from_outside_needs_a_token(exposed: dict[str, Any], way: str) -> None:
    rendered = server("tensorboard", way, **exposed, global_={"source_cidr": "192.0.2.0/24"})
    ((name, secret),) = rendered.secrets.items()
    assert len(secret["token"]) == 40
    assert rendered.env["TENSORBOARD_TOKEN"] == {"secretKeyRef": {"name": name, "key": "token"}}
    assert rendered.container["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert f"kubectl get secret --namespace kubeflow {name} " in rendered.notes


@both_ways
def test_a_token_of_the_user_is_used_for_a_cluster_ip_too(way: str) -> None:
    rendered = server("tensorboard", way, token_secret="mine")
    assert rendered.secrets == {}
    assert rendered.env["TENSORBOARD_TOKEN"] == {"secretKeyRef": {"name": "mine", "key": "token"}}


def request(address: str, token: str | None = None, path: str = "/data/environment") -> int:
    """The status of a request with a password."""
    headers = {}
    if token is not None:
        headers["Authorization"] = "Basic " + b64encode(f"anyone:{token}".encode()).decode()
    try:
        with urlopen(Request(f"{address}{path}", headers=headers), timeout=10) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def test_the_real_program_answers_only_with_the_token(tmp_path: Path) -> None:
    with tensorboard(tmp_path / "efs", tmp_path, token="s3cret", token_secret="mine") as address:
        assert request(address, "s3cret") == 200
        assert [request(address, token) for token in (None, "", "s3cre", "s3cret2", "\u00e9")] == [401] * 5
        assert request(address, path="/healthz") == 200
        # Only the exact path is free.
        assert [request(address, path=path) for path in ("/", "/healthz/", "/healthz/../data")] == [401] * 3
