"""The chart eks-addons: its device plugins run on the nodes of the catalogue, and on no others."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_values.helm import RenderError, render
from rendering import CHARTS, NEWEST, OLDEST, Object, check_object, render_objects

CHART = CHARTS / "eks-addons"
CATALOGUE: dict[str, dict[str, Any]] = yaml.safe_load(
    (CHARTS / "common" / "files" / "node-groups.yaml").read_text()
)
PLUGINS = {"nvidia": "gpus", "efa": "efa"}
"""Sections of the values, and what a row of the catalogue calls their devices."""


def plugins(values: dict[str, Any] | None = None) -> dict[str, Object]:
    """The DaemonSets by the section of their values."""
    daemon_sets = render_objects(CHART, values or {}, "addons", "kube-system")
    return {item["metadata"]["name"].removeprefix("addons-"): item for item in daemon_sets}


def pod(plugin: Object) -> Any:
    return plugin["spec"]["template"]["spec"]


def runs_on(plugin: Object, node: dict[str, Any]) -> bool:
    """Whether the scheduler would put the plugin on a node, of what the chart uses of its rules."""
    terms = pod(plugin)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    ((expression,),) = (term["matchExpressions"] for term in terms["nodeSelectorTerms"])
    assert expression["operator"] == "In"
    borne = {(item.get("key"), item.get("effect")) for item in pod(plugin)["tolerations"]}
    return node["labels"].get(expression["key"]) in expression["values"] and all(
        (taint["key"], taint["effect"]) in borne for taint in node["taints"]
    )


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
def test_a_plain_install_is_two_daemon_sets_in_kube_system(version: str) -> None:
    rendered = render_objects(CHART, {}, "addons", "kube-system")
    assert {(item["kind"], item["metadata"]["namespace"]) for item in rendered} == {
        ("DaemonSet", "kube-system")
    }
    assert len(rendered) == 2
    for item in rendered:
        check_object(item, version)


@pytest.mark.parametrize("row", CATALOGUE)
@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_runs_on_the_nodes_that_have_its_devices(name: str, row: str) -> None:
    assert runs_on(plugins()[name], CATALOGUE[row]) == (CATALOGUE[row][PLUGINS[name]] > 0)


@pytest.mark.parametrize("name", PLUGINS)
def test_instance_types_and_taints_of_the_user_are_added(name: str) -> None:
    own = {
        "instance_types": ["p5e.48xlarge"],
        "tolerations": [{"key": "team", "operator": "Exists", "effect": "NoSchedule"}],
    }
    labels = {"node.kubernetes.io/instance-type": "p5e.48xlarge"}
    taints = [*CATALOGUE["p4d"]["taints"], {"key": "team", "effect": "NoSchedule"}]
    node = {"labels": labels, "taints": taints}
    assert not runs_on(plugins()[name], node)
    assert runs_on(plugins({name: own})[name], node)
    assert runs_on(plugins({name: own})[name], CATALOGUE["p4d"])


@pytest.mark.parametrize("name", PLUGINS)
def test_a_plugin_that_is_installed_otherwise_is_left_out(name: str) -> None:
    assert set(plugins({name: {"enabled": False}})) == PLUGINS.keys() - {name}


def test_plugins_may_do_no_more_than_register_with_the_kubelet() -> None:
    for plugin in plugins().values():
        (container,) = pod(plugin)["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }
        assert not pod(plugin)["automountServiceAccountToken"]
        paths = {Path(volume["hostPath"]["path"]) for volume in pod(plugin)["volumes"]}
        assert paths <= {Path("/var/lib/kubelet/device-plugins"), Path("/dev/infiniband")}


def test_the_notes_name_the_resources_that_nodes_advertise() -> None:
    def notes(values: dict[str, Any]) -> str:
        return render(CHART, values, "addons", "kube-system")["eks-addons/templates/NOTES.txt"]

    assert "advertise nvidia.com/gpu and vpc.amazonaws.com/efa." in notes({})
    assert r"EFA:.status.allocatable.vpc\.amazonaws\.com/efa'" in notes({"nvidia": {"enabled": False}})
    off = {name: {"enabled": False} for name in PLUGINS}
    assert "Both device plugins are disabled" in notes(off)


def test_a_removed_default_is_named() -> None:
    with pytest.raises(RenderError, match=r"nvidia\.image is null but requires a value"):
        plugins({"nvidia": {"image": None}})
