"""Installing, upgrading, rolling back and deleting releases of every chart, with both Helm versions."""

import pytest
from releases import install, upgrade
from testcluster.client import Client, CommandFailed

SERVER_OF = {"maskrcnn": "demo-tensorboard", "maskrcnn-optimized": "demo-tensorboard"}
PORT_OF = {"maskrcnn": "tensorboard.port", "maskrcnn-optimized": "tensorboard.port"}
KINDS = "mpijob,deployment,service,secret,configmap,pod"


def service_port(user: Client, chart: str) -> int:
    service = user.get("service", SERVER_OF.get(chart, f"demo-{chart}"))
    return int(service["spec"]["ports"][0]["port"])


@pytest.mark.parametrize("chart", ["maskrcnn", "maskrcnn-optimized", "jupyter", "tensorboard"])
def test_a_chart_is_installed_upgraded_rolled_back_and_deleted(user: Client, helm: str, chart: str) -> None:
    user = user.with_program(helm)
    empty = user.names(KINDS)

    install(user, "demo", chart)
    default = service_port(user, chart)
    upgrade(user, "demo", chart, f"{PORT_OF.get(chart, 'port')}=8765")
    assert service_port(user, chart) == 8765
    user.helm("rollback", "demo", "1")
    assert service_port(user, chart) == default
    user.helm("delete", "demo", "--wait")
    for name in user.names("pod"):
        user.wait(name, "delete")

    assert user.names(KINDS) == empty


@pytest.mark.parametrize("chart", ["maskrcnn", "maskrcnn-optimized", "jupyter", "tensorboard"])
def test_helm_4_upgrades_a_release_of_helm_3(user: Client, chart: str) -> None:
    install(user.with_program("helm3"), "demo", chart)
    upgrade(user.with_program("helm"), "demo", chart, f"{PORT_OF.get(chart, 'port')}=8765")
    assert service_port(user, chart) == 8765


def test_helm_test_of_a_release_succeeds(user: Client, helm: str) -> None:
    user = user.with_program(helm)
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d")
    user.running("demo")
    assert "Phase:          Succeeded" in user.helm("test", "demo", "--timeout=60s")


def test_a_second_release_cannot_take_the_job_of_the_first(user: Client) -> None:
    install(user, "one", "maskrcnn", "maskrcnn.name=demo")
    before = user.get("mpijob", "demo")
    with pytest.raises(CommandFailed):
        install(user, "two", "maskrcnn", "maskrcnn.name=demo")
    assert user.get("mpijob", "demo")["metadata"]["uid"] == before["metadata"]["uid"]
