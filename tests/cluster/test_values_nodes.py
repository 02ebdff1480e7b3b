"""The preflight of mrc-values: are there nodes for a job?"""

from collections.abc import Iterator

import pytest
from preflights import ERROR, P4D, WARNING, definition, findings_of, messages
from releases import install
from testcluster.client import Client
from values_tool import TOLERATION, add_node, submit

TYPE = r"maskrcnn.node_selector.node\.kubernetes\.io/instance-type"
TOLERATED = "maskrcnn.tolerations[0].operator=Exists"


@pytest.mark.parametrize(
    ("values", "rule", "words"),
    [
        (
            ["maskrcnn.node_group=g4dn", "maskrcnn.gpus=1", "maskrcnn.gpus_per_node=1"],
            "MRC120",
            "maskrcnn.node_group: there is no node with node.kubernetes.io/instance-type=g4dn.xlarge for "
            "the worker. No autoscaler was found that can add nodes. "
            "Add nodes, or set maskrcnn.node_group to a group that has some: "
            "p3 (4 nodes), p3dn (4 nodes), p4d (4 nodes), g5 (4 nodes).",
        ),
        (
            [f"{TYPE}=p4d.24xlarge"],
            "MRC120",
            "the worker cannot run on any of the 4 nodes with node.kubernetes.io/instance-type=p4d.24xlarge: "
            "4 with the taint nvidia.com/gpu",
        ),
        (
            [f"{TYPE}=p3.16xlarge", TOLERATED, "maskrcnn.efa=1"],
            "MRC121",
            "can hold the worker, which requests 1 vpc.amazonaws.com/efa (the largest has 0 "
            "vpc.amazonaws.com/efa). "
            "Check that the EFA device plugin runs on these nodes",
        ),
        (
            [f"{TYPE}=p4d.24xlarge", TOLERATED, "maskrcnn.memory=2000Gi"],
            "MRC121",
            "which requests 2000 GiB memory (the largest has 1057 GiB memory)",
        ),
        (
            [P4D, "maskrcnn.gpus=40"],
            "MRC122",
            "maskrcnn.node_group: the workers: 5 are requested, but the 4 nodes with "
            "node.kubernetes.io/instance-type=p4d.24xlarge can hold 4 even when nothing else runs there. "
            "No autoscaler was found that can add nodes. Add nodes, or set maskrcnn.node_group to a group "
            "that has some: p3 (4 nodes), p3dn (4 nodes), g5 (4 nodes).",
        ),
    ],
)
def test_nodes_that_can_never_hold_the_job_stop_the_install(
    user: Client, values: list[str], rule: str, words: str
) -> None:
    (text,) = messages(findings_of(user, *values), rule, ERROR)
    assert words in text


def test_gpus_that_other_jobs_use_are_a_warning(user: Client) -> None:
    submit(user, "other", P4D, "maskrcnn.gpus=24")
    user.running("other")
    assert findings_of(user, P4D, "maskrcnn.gpus=8") == []
    assert messages(findings_of(user, P4D, "maskrcnn.gpus=16"), "MRC123", WARNING) == [
        "maskrcnn.node_group: there is room for 1 of 2 workers now: 8 nvidia.com/gpu are free on the 4 nodes "
        "with node.kubernetes.io/instance-type=p4d.24xlarge, 16 nvidia.com/gpu are requested. "
        "The job will wait until others end. To start sooner, request less; "
        "mrc-values list shows what is running."
    ]


def test_ending_a_run_makes_room_for_the_new_run_of_its_release(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D, "maskrcnn.gpus=32", "tensorboard.enabled=false")
    user.running("demo")
    new_run = (P4D, "maskrcnn.gpus=32", "maskrcnn.run=b")
    assert [finding.rule for finding in findings_of(user, *new_run, release="other")] == ["MRC123"]
    assert findings_of(user, *new_run, upgrade=True, end_runs=("demo",)) == []


def test_a_cordoned_node_is_not_counted(user: Client) -> None:
    user.kubectl("cordon", "p4d-0")
    try:
        assert "the 3 nodes" in messages(findings_of(user, P4D, "maskrcnn.gpus=32"), "MRC122", ERROR)[0]
    finally:
        user.kubectl("uncordon", "p4d-0")


def test_nodes_that_are_still_starting_are_a_warning(user: Client) -> None:
    name = add_node(user, f"starting-{user.namespace}", ready=True)
    try:
        user.kubectl("taint", "node", name, "fsx.csi.aws.com/agent-not-ready=:NoSchedule")
        (text,) = messages(
            findings_of(user, f"{TYPE}={name}", TOLERATION, "maskrcnn.gpus=8"), "MRC120", WARNING
        )
        assert "1 with the taint fsx.csi.aws.com/agent-not-ready. They can be used when" in text
    finally:
        user.kubectl("delete", "node", name)


@pytest.fixture
def ohio(user: Client) -> Iterator[None]:
    """A node says that it is in us-east-2, as all nodes of EKS say where they are."""
    user.kubectl("label", "node", "p4d-0", "topology.kubernetes.io/region=us-east-2")
    yield
    user.kubectl("label", "node", "p4d-0", "topology.kubernetes.io/region-")


@pytest.mark.usefixtures("ohio")
def test_an_image_in_another_region_than_the_nodes_is_a_warning(user: Client) -> None:
    image = "maskrcnn.image=123456789012.dkr.ecr.us-west-2.amazonaws.com/mask-rcnn:1.0"
    assert messages(findings_of(user, P4D, image), "MRC124", WARNING) == [
        "maskrcnn.image: the image is stored in us-west-2, but the cluster's nodes are in us-east-2. "
        "Push it to ECR in us-east-2, or replicate it there."
    ]
    assert findings_of(user, P4D, image.replace("us-west-2", "us-east-2")) == []


@pytest.fixture
def karpenter(user: Client) -> Iterator[None]:
    """Karpenter's NodePool, as its chart defines it, and one that makes p4d nodes."""
    crd = definition("karpenter.sh", "v1", "NodePool", "nodepools", "Cluster")
    user.apply(crd)
    user.wait("crd/nodepools.karpenter.sh", "condition=Established")
    kind = {"key": "node.kubernetes.io/instance-type", "operator": "In", "values": ["p4d.24xlarge"]}
    template = {
        "spec": {"requirements": [kind], "taints": [{"key": "nvidia.com/gpu", "effect": "NoSchedule"}]}
    }
    user.apply(
        {
            "apiVersion": "karpenter.sh/v1",
            "kind": "NodePool",
            "metadata": {"name": "gpu"},
            "spec": {"template": template},
        }
    )
    yield
    user.kubectl("delete", "crd", "nodepools.karpenter.sh")


@pytest.mark.usefixtures("karpenter")
def test_a_node_pool_that_can_make_the_nodes_turns_the_error_into_a_warning(user: Client) -> None:
    (text,) = messages(findings_of(user, P4D, "maskrcnn.gpus=40"), "MRC122", WARNING)
    assert "Karpenter's NodePool gpu can add such nodes." in text


@pytest.mark.usefixtures("karpenter")
def test_a_node_pool_of_other_instance_types_does_not(user: Client) -> None:
    findings = findings_of(user, "maskrcnn.node_group=g5", "maskrcnn.gpus=40")
    assert [finding.rule for finding in findings if finding.severity is ERROR] == ["MRC122"]


def test_a_cluster_autoscaler_turns_the_error_into_a_warning(user: Client) -> None:
    user.kubectl(
        "create", "deployment", "scaler", "--image=registry.k8s.io/autoscaling/cluster-autoscaler:v1.34.0"
    )
    (text,) = messages(findings_of(user, P4D, "maskrcnn.gpus=40"), "MRC122", WARNING)
    assert (
        "The cluster-autoscaler is running; whether one of its node groups has such nodes is unknown." in text
    )
