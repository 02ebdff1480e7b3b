"""Jupyter and TensorBoard: secrets across upgrades, certificates, access and placement."""

import base64
import subprocess
from pathlib import Path

import pytest
from releases import install, upgrade
from testcluster.client import Client, CommandFailed


def secrets(user: Client) -> dict[str, dict[str, str]]:
    """Returns the data of the secrets of a Jupyter release by their type."""
    jupyter_secrets = user.objects("secrets", **{"app.kubernetes.io/name": "jupyter"})
    return {secret["type"]: secret["data"] for secret in jupyter_secrets}


@pytest.mark.parametrize(
    ("chart", "given", "change"),
    [
        ("jupyter", [], "resources.requests.memory=3Gi"),
        (
            "maskrcnn",
            ["jupyter.enabled=true", "jupyter.image=notebook:1"],
            "jupyter.resources.requests.memory=3Gi",
        ),
    ],
    ids=["alone", "sub-chart"],
)
def test_upgrades_keep_jupyters_token_and_certificate(
    user: Client, helm: str, chart: str, given: list[str], change: str
) -> None:
    user = user.with_program(helm)
    install(user, "demo", chart, *given)
    before = secrets(user)
    upgrade(user, "demo", chart, *given, change)
    user.helm("rollback", "demo", "1")
    assert secrets(user) == before
    assert set(before) == {"Opaque", "kubernetes.io/tls"}


def test_two_jupyter_releases_have_different_tokens(user: Client) -> None:
    install(user, "one", "jupyter")
    install(user, "two", "jupyter")
    tokens = {
        secret["data"]["token"]
        for secret in user.objects("secrets", **{"app.kubernetes.io/name": "jupyter"})
        if secret["type"] == "Opaque"
    }
    assert len(tokens) == 2
    assert min(len(base64.b64decode(token)) for token in tokens) >= 32


def test_jupyters_certificate_is_issued_for_its_service(user: Client, tmp_path: Path) -> None:
    install(user, "demo", "jupyter")
    certificate = tmp_path / "tls.crt"
    certificate.write_bytes(base64.b64decode(secrets(user)["kubernetes.io/tls"]["tls.crt"]))
    host = f"demo-jupyter.{user.namespace}.svc"
    checked = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-checkhost", host],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "does match" in checked.stdout


def test_a_load_balancer_without_a_source_range_is_rejected(user: Client) -> None:
    with pytest.raises(CommandFailed, match=r"global\.source_cidr"):
        install(user, "demo", "tensorboard", "service.type=LoadBalancer")
    assert user.names("service") == set()


def test_a_load_balancer_admits_only_the_given_source_range(user: Client) -> None:
    install(user, "demo", "tensorboard", "service.type=LoadBalancer", "global.source_cidr=192.0.2.0/24")
    assert user.get("service", "demo-tensorboard")["spec"]["loadBalancerSourceRanges"] == ["192.0.2.0/24"]


def test_the_servers_run_on_nodes_without_gpus(user: Client) -> None:
    given = ["jupyter.enabled=true", "jupyter.image=notebook:1", "maskrcnn.node_group=p4d"]
    install(user, "demo", "maskrcnn", *given)
    for server in ("demo-jupyter", "demo-tensorboard"):
        user.wait(f"deployment/{server}", "condition=Available")
    pods = [pod for pod in user.objects("pods") if pod["metadata"]["labels"].get("pod-template-hash")]
    assert len(pods) == 2
    assert all(pod["spec"]["nodeName"].startswith("cpu-") for pod in pods)
