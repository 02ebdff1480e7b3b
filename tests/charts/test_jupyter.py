"""The jupyter chart: what each value does."""

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mrc_values import catalogue
from mrc_values.helm import RenderError
from rendering import CHARTS
from server_charts import ALONE, SUBCHART, WAYS, Server, restricted_violations, server

both_ways = pytest.mark.parametrize("way", WAYS)
CLAIM = "tensorpack-efs-gp-bursting"
OWN = {"/home/jupyter": "empty", "/etc/jupyter-tls": "demo-jupyter-tls (ro)"}
GPU_TAINT = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}


FEATURES: dict[str, tuple[dict[str, Any], Callable[[Server], Any], Any]] = {
    "one file system, to write to": (
        {},
        lambda s: (s.mounts, s.env["SHARED_FS"], s.env["DATA_FS"]),
        ({"/efs": CLAIM, **OWN}, "/efs", "/efs"),
    ),
    "another one with the data, to read": (
        {"data_fs": "fsx"},
        lambda s: (s.mounts, s.env["SHARED_FS"], s.env["DATA_FS"]),
        ({"/efs": CLAIM, "/fsx": "tensorpack-fsx (ro)", **OWN}, "/efs", "/fsx"),
    ),
    "claims by name": (
        {
            "global_": {"shared_fs": "fsx", "shared_pvc": "pv-fsx"},
            "data_fs": "efs",
            "data_pvc": "pv-efs",
        },
        lambda s: s.mounts,
        {"/fsx": "pv-fsx", "/efs": "pv-efs (ro)", **OWN},
    ),
    "it knows the runs of the namespace": ({}, lambda s: s.env["MRC_RUNS"], "$(SHARED_FS)/kubeflow"),
    "notebooks lie beside them": ({}, lambda s: s.env["NOTEBOOKS"], "$(SHARED_FS)/kubeflow/demo-jupyter"),
    "in another namespace, those of that": (
        {"global_": {"namespace": ""}, "namespace": "vision"},
        lambda s: (s.env["MRC_RUNS"], s.service["metadata"]["namespace"]),
        ("$(SHARED_FS)/vision", "vision"),
    ),
    "image and pull policy": (
        {"image": "lab:2", "image_pull_policy": "IfNotPresent"},
        lambda s: (s.container["image"], s.container["imagePullPolicy"]),
        ("lab:2", "IfNotPresent"),
    ),
    "what the image does at its start, it still does": ({}, lambda s: "command" in s.container, False),
    "ports": (
        {"port": 8443, "target_port": 9999},
        lambda s: (s.service["spec"]["ports"][0]["port"], "--ServerApp.port=9999" in s.container["args"]),
        (8443, True),
    ),
    "no GPU": (
        {},
        lambda s: s.container["resources"],
        {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "8Gi"}},
    ),
    "GPUs on request": (
        {"gpus": 1},
        lambda s: s.container["resources"],
        {"requests": {"cpu": "500m", "memory": "2Gi"}, "limits": {"memory": "8Gi", "nvidia.com/gpu": 1}},
    ),
    "GPUs without other resources": (
        {"gpus": 2, "resources": None},
        lambda s: s.container["resources"],
        {"limits": {"nvidia.com/gpu": 2}},
    ),
    "the GPU is free before the next pod wants it": (
        {"gpus": 1},
        lambda s: s.deployment["spec"]["strategy"],
        {"type": "Recreate"},
    ),
    "without one, the old pod stays until the next is ready": (
        {},
        lambda s: "strategy" in s.deployment["spec"],
        False,
    ),
    "a node group": (
        {"node_group": "g5-xlarge"},
        lambda s: (s.pod["nodeSelector"], s.pod["tolerations"]),
        ({"node.kubernetes.io/instance-type": "g5.xlarge"}, [GPU_TAINT]),
    ),
    "a node group by its old name": (
        {"gpu_instance_type": "g5.xlarge"},
        lambda s: s.pod["nodeSelector"],
        {"node.kubernetes.io/instance-type": "g5.xlarge"},
    ),
    "any node by default": ({}, lambda s: {"nodeSelector", "tolerations"} & set(s.pod), set()),
    "labels and taints besides the node group's": (
        {
            "node_group": "g4dn",
            "node_selector": {"topology.kubernetes.io/zone": "us-west-2b"},
            "tolerations": [{"key": "dedicated", "operator": "Exists"}],
        },
        lambda s: (s.pod["nodeSelector"], s.pod["tolerations"]),
        (
            {
                "node.kubernetes.io/instance-type": "g4dn.xlarge",
                "topology.kubernetes.io/zone": "us-west-2b",
            },
            [GPU_TAINT, {"key": "dedicated", "operator": "Exists"}],
        ),
    ),
    "user and group": (
        {"run_as_user": 2000, "run_as_group": 3000},
        lambda s: [s.pod["securityContext"][name] for name in ("runAsUser", "runAsGroup")],
        [2000, 3000],
    ),
    "by default those of Jupyter's own images": (
        {},
        lambda s: [s.pod["securityContext"][name] for name in ("runAsUser", "runAsGroup")],
        [1000, 100],
    ),
    "the token comes from a Secret": (
        {},
        lambda s: s.env["JUPYTER_TOKEN"],
        {"secretKeyRef": {"name": "demo-jupyter-token", "key": "token"}},
    ),
    "Secrets of its own": (
        {},
        lambda s: {name: set(data) for name, data in s.secrets.items()},
        {"demo-jupyter-token": {"token"}, "demo-jupyter-tls": {"tls.crt", "tls.key"}},
    ),
    "a token of the user's": (
        {"token_secret": "my-token"},
        lambda s: (set(s.secrets), s.env["JUPYTER_TOKEN"]["secretKeyRef"]["name"]),
        ({"demo-jupyter-tls"}, "my-token"),
    ),
    "a certificate of the user's": (
        {"tls_secret": "my-tls"},
        lambda s: (set(s.secrets), s.mounts["/etc/jupyter-tls"]),
        ({"demo-jupyter-token"}, "my-tls (ro)"),
    ),
    "probes by https": (
        {},
        lambda s: [s.container[f"{name}Probe"]["httpGet"] for name in ("startup", "readiness", "liveness")],
        [{"scheme": "HTTPS", "path": "/api", "port": "https"}] * 3,
    ),
    "the old log_dir changes nothing": (
        {"log_dir": "old-logs"},
        lambda s: "old-logs" in str(s.objects),
        False,
    ),
}


@both_ways
@pytest.mark.parametrize("feature", FEATURES)
def test_feature(feature: str, way: str) -> None:
    values, extract, expected = FEATURES[feature]
    assert extract(server("jupyter", way, **values)) == expected


@both_ways
def test_the_pod_is_restricted_and_has_no_access_to_the_cluster(way: str) -> None:
    pod = server("jupyter", way, gpus=1, data_fs="fsx").pod
    assert restricted_violations(pod) == []
    assert pod["automountServiceAccountToken"] is False


@both_ways
def test_a_service_called_jupyter_does_not_set_the_server_s_port(way: str) -> None:
    # Docker's links would set JUPYTER_PORT=tcp://..., which jupyter_server reads as a number.
    assert server("jupyter", way).pod["enableServiceLinks"] is False


@both_ways
def test_the_token_is_long_random_and_nowhere_else(way: str) -> None:
    tokens = set()
    for _ in range(2):
        rendered = server("jupyter", way)
        token = rendered.secrets["demo-jupyter-token"]["token"].decode()
        assert len(token) >= 32
        assert token.isalnum()
        assert token not in str(rendered.deployment)
        assert token not in rendered.notes
        tokens.add(token)
    assert len(tokens) == 2


@pytest.mark.parametrize(
    ("host", "fits"),
    [
        ("demo-jupyter", True),
        ("demo-jupyter.kubeflow", True),
        ("demo-jupyter.kubeflow.svc", True),
        ("localhost", True),
        ("127.0.0.1", True),
        ("other-jupyter", False),
    ],
)
def test_the_certificate_is_for_the_service_s_names(host: str, fits: bool, tmp_path: Path) -> None:
    secret = server("jupyter").secrets["demo-jupyter-tls"]
    for name, content in secret.items():
        (tmp_path / name).write_bytes(content)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "tls.crt", tmp_path / "tls.key")
    client = ssl.create_default_context(cafile=str(tmp_path / "tls.crt"))
    if fits:
        shake_hands(client, context, host)
    else:
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            shake_hands(client, context, host)


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, host: str) -> None:
    """A TLS handshake in memory, the client asking for ``host``."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(to_client, to_server, server_hostname=host),
        server.wrap_bio(to_server, to_client, server_side=True),
    ]
    for _ in range(5):
        for side in list(sides):
            try:
                side.do_handshake()
                sides.remove(side)
            except ssl.SSLWantReadError:
                pass
    assert not sides


NODE_GROUPS = sorted(catalogue.load(CHARTS / "jupyter").node_groups)
PREFIX = {ALONE: "", SUBCHART: "jupyter."}
REJECTED: list[tuple[dict[str, Any], str]] = [
    (
        {"image": ""},
        "{p}image is not set. Set an image with JupyterLab, "
        "for example --set {p}image=<registry>/<name>:<tag>",
    ),
    (
        {"node_group": "p9"},
        "{p}node_group: p9 is not in the catalogue. "
        f'Set it to one of {", ".join(NODE_GROUPS)}, or to "" and set {{p}}node_selector and tolerations '
        "yourself",
    ),
    (
        {"gpu_instance_type": "p9.large"},
        "{p}gpu_instance_type: p9.large is not in the catalogue. Set {p}node_group to one of "
        f"{', '.join(NODE_GROUPS)}, or set {{p}}node_selector and tolerations yourself",
    ),
    (
        {"node_group": "g5-xlarge", "gpus": 2},
        "{p}gpus: 2 exceeds the 1 GPUs of a node of type g5.xlarge. Set it to 1",
    ),
    (
        {"data_pvc": "other"},
        "{p}data_pvc: other and tensorpack-efs-gp-bursting are two claims for the same file system, efs. "
        'Set {p}data_pvc to "", or {p}data_fs to the other file system',
    ),
    (
        {"data_fs": "fsx", "data_pvc": CLAIM},
        "{p}data_pvc: tensorpack-efs-gp-bursting is already the claim of efs (global.shared_pvc), "
        "but {p}data_fs is fsx. Give each file system its own claim",
    ),
    ({"gpus": None}, "{p}gpus is null but requires a value. Set it, or remove it to use the default"),
]


@both_ways
@pytest.mark.parametrize(("values", "message"), REJECTED, ids=str)
def test_a_template_names_the_rejected_value_and_the_fix(
    way: str, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(RenderError) as error:
        server("jupyter", way, **values)
    assert error.value.message == message.format(p=PREFIX[way])


def test_notes_name_the_next_commands_and_print_no_token() -> None:
    assert server("jupyter", release="jupyter").notes.strip().splitlines() == [
        "Jupyter, at https://localhost:8888 (the browser warns about the self-signed certificate):",
        "  kubectl port-forward --namespace kubeflow service/jupyter 8888:443",
        "and its token:",
        "  kubectl get secret --namespace kubeflow jupyter-token --output jsonpath='{.data.token}' "
        "| base64 --decode; echo",
        "",
        "Notebooks are stored in /efs/kubeflow/jupyter on the claim tensorpack-efs-gp-bursting, "
        "and are kept when the release is deleted. If user 1000 has no write permission there, "
        "they are lost with the pod, and its log contains the fix:",
        "  kubectl logs --namespace kubeflow deployment/jupyter",
    ]


def test_notes_name_the_user_s_own_secrets() -> None:
    notes = server("jupyter", SUBCHART, token_secret="my-token", tls_secret="my-tls").notes
    assert "kubectl get secret --namespace kubeflow my-token " in notes
    assert "self-signed" not in notes
