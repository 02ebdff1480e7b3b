"""Pods are admitted under the documented Pod Security standards."""

import pytest
from releases import install
from testcluster.client import Client


def enforce(user: Client, level: str) -> None:
    user.kubectl("label", "namespace", user.namespace, f"pod-security.kubernetes.io/enforce={level}")


@pytest.mark.parametrize("chart", ["maskrcnn", "maskrcnn-optimized"])
@pytest.mark.parametrize("group", ["p4d", "g5"])
def test_a_namespace_that_enforces_baseline_admits_a_training_job(
    user: Client, chart: str, group: str
) -> None:
    enforce(user, "baseline")
    install(user, "demo", chart, f"maskrcnn.node_group={group}")
    user.running("demo")


@pytest.mark.parametrize("chart", ["jupyter", "tensorboard"])
def test_a_namespace_that_enforces_restricted_admits_the_servers(user: Client, chart: str) -> None:
    enforce(user, "restricted")
    install(user, "demo", chart)
    user.wait(f"deployment/demo-{chart}", "condition=Available")


def test_no_pod_of_a_release_has_a_token_of_the_api_server(user: Client) -> None:
    given = ["jupyter.enabled=true", "jupyter.image=notebook:1", "maskrcnn.node_group=p4d"]
    install(user, "demo", "maskrcnn", *given)
    user.running("demo")
    for server in ("demo-jupyter", "demo-tensorboard"):
        user.wait(f"deployment/{server}", "condition=Available")
    pods = user.objects("pods")
    assert len(pods) == 5
    for pod in pods:
        projected = [volume for volume in pod["spec"]["volumes"] if "projected" in volume]
        assert projected == [], pod["metadata"]["name"]
