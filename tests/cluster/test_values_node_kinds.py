"""What mrc-values says about nodes with taints of each kind, with MIG devices, and in several zones."""

import json
from collections.abc import Iterator

import pytest
from preflights import P4D, WARNING, findings_of, messages
from testcluster.client import Client
from values_tool import (
    TOLERATION,
    TYPE,
    add_node,
    mrc_values,
    patch_status,
    reason_named,
    submit,
)

KINDS = {
    "starting": ("nodes-starting", "fsx.csi.aws.com/agent-not-ready", "Do not tolerate it"),
    "leaving": ("nodes-leaving", "karpenter.sh/disrupted", "Do not tolerate it"),
    "unhealthy": ("nodes-unhealthy", "node.kubernetes.io/disk-pressure", "Do not tolerate it"),
    "dedicated": ("taint", "team", "Set maskrcnn.tolerations to tolerate it"),
}
"""Reason, taint and advice by kind of taint."""

ZONE = "topology.kubernetes.io/zone"
MIG = "nvidia.com/mig-3g.20gb"


@pytest.fixture
def tainted(user: Client) -> Iterator[dict[str, str]]:
    """A node of each kind, by kind."""
    nodes = {kind: add_node(user, f"{kind}-{user.namespace}", ready=True) for kind in KINDS}
    for kind, (_, taint, _) in KINDS.items():
        if kind == "unhealthy":  # the taint is then added by Kubernetes itself
            patch_status(
                user, "node", nodes[kind], {"conditions": [{"type": "DiskPressure", "status": "True"}]}
            )
        else:
            user.kubectl("taint", "node", nodes[kind], f"{taint}=vision:NoSchedule")
    yield nodes
    user.kubectl("delete", "node", *nodes.values())


def test_each_kind_of_taint_has_its_reason_and_its_advice(user: Client, tainted: dict[str, str]) -> None:
    for kind, node in tainted.items():
        submit(user, kind, f"{TYPE}={node}", TOLERATION, "maskrcnn.gpus=8")
    for kind, (reason, taint, advice) in KINDS.items():
        explained = reason_named(user, kind, reason)
        assert taint in explained.text
        assert advice in explained.fix
        assert ("tolerations" in explained.fix) == (kind == "dedicated")


@pytest.fixture
def mig(user: Client) -> Iterator[str]:
    """A node that offers one MIG device and no whole GPU."""
    node = add_node(user, f"mig-{user.namespace}", ready=True)
    capacity = {"cpu": "8", "memory": "64Gi", "pods": "10", MIG: "1"}
    change = [
        {"op": "replace", "path": f"/status/{key}", "value": capacity} for key in ("capacity", "allocatable")
    ]
    user.kubectl(
        "patch", "node", node, "--subresource=status", "--type=json", f"--patch={json.dumps(change)}"
    )
    yield node
    user.kubectl("delete", "node", node)


def test_missing_mig_devices_are_named(user: Client, mig: str) -> None:
    there = (f"{TYPE}={mig}", TOLERATION, "maskrcnn.gpus_per_node=1")
    submit(user, "two", *there, f"maskrcnn.gpu_resource={MIG}", "maskrcnn.gpus=2")
    submit(user, "other", *there, "maskrcnn.gpu_resource=nvidia.com/mig-1g.5gb", "maskrcnn.gpus=1")
    explained = reason_named(user, "two", "no-gpus")
    assert f"no node has 1 {MIG} free: of 19 nodes 1 lacks {MIG}" in explained.text
    explained = reason_named(user, "other", "device-plugin")
    assert f"the nodes offer {MIG}, but no nvidia.com/mig-1g.5gb" in explained.text
    assert "Set maskrcnn.gpu_resource to a device that they offer" in explained.fix


@pytest.fixture
def two_zones(user: Client) -> Iterator[None]:
    """The four p4d nodes are in two zones, as those of an autoscaling group may be."""
    user.kubectl("label", "node", "p4d-0", "p4d-1", "p4d-2", f"{ZONE}=us-west-2a")
    user.kubectl("label", "node", "p4d-3", f"{ZONE}=us-west-2b")
    yield
    user.kubectl("label", "node", *(f"p4d-{number}" for number in range(4)), f"{ZONE}-")


@pytest.mark.usefixtures("two_zones")
def test_workers_with_efa_in_two_zones_are_a_finding_and_a_warning(user: Client) -> None:
    assert messages(findings_of(user, P4D), "MRC125", WARNING) == [
        "maskrcnn.node_selector: the workers use EFA, which does not connect zones, but their nodes are in "
        "several: us-west-2a (room for 3), us-west-2b (room for 1). "
        f"Set maskrcnn.node_selector to {ZONE}: us-west-2a."
    ]
    (text,) = messages(findings_of(user, P4D, "maskrcnn.gpus=32"), "MRC125", WARNING)
    assert "Add nodes in us-west-2a, or use 3 workers, and set maskrcnn.node_selector" in text
    pinned = r"maskrcnn.node_selector.topology\.kubernetes\.io/zone=us-west-2a"
    for fine in ((P4D, pinned), (P4D, "maskrcnn.gpus=8"), (P4D, "maskrcnn.efa=0")):
        assert messages(findings_of(user, *fine), "MRC125", WARNING) == []
    submit(user, "demo", P4D, "maskrcnn.gpus=32")
    user.running("demo")
    printed = mrc_values(user, "status", "demo").stdout
    assert "warning: workers are in different zones (3 in us-west-2a, 1 in us-west-2b)" in printed
