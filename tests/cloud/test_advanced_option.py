"""The advanced option of the tutorial on a stand-in for AWS: a cluster and node groups added to it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from inventory import inventory
from stand_in_server import REGION, StandIn
from terraform_roots import REPOSITORY, Root

PROGRAM = Path(sys.executable).with_name("mrc-values")
CHART = REPOSITORY / "charts" / "maskrcnn"


def test_a_node_group_is_added_planned_for_and_destroyed(
    stand_in: StandIn, clients: Callable[[str], Any], checkout: Path, tmp_path: Path
) -> None:
    before = inventory(clients)
    common = {"region": REGION, "cluster_name": "advanced"}
    zones = ["us-west-2a", "us-west-2b"]
    cluster = Root(checkout, "aws-eks-cluster", stand_in.environment, **common, azs=zones, fsx=False)
    cluster.apply()
    outputs = cluster.outputs()
    nodes = Root(
        checkout,
        "aws-eks-nodegroup",
        stand_in.environment,
        **common,
        nodegroup_name="training-1",
        node_role_arn=outputs["node_role_arn"],
        subnet_ids=[outputs["subnet_ids"]["us-west-2b"]],
        node_group="g5",
        max_size=8,
    )
    nodes.apply()
    eks = clients("eks")
    group = eks.describe_nodegroup(clusterName="advanced", nodegroupName="training-1")["nodegroup"]
    assert (group["nodeRole"], group["scalingConfig"]["maxSize"]) == (outputs["node_role_arn"], 8)
    assert group["subnets"] == [outputs["subnet_ids"]["us-west-2b"]]

    file = tmp_path / "values.yaml"
    file.write_text("maskrcnn:\n  image: registry.example.com/mask-rcnn:v1\n")
    sources = [f"--from-terraform={root.directory}" for root in (cluster, nodes)]
    done = subprocess.run(
        [PROGRAM, "plan", CHART, *sources, "--nodes", "8", "-f", file, "--write"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    planned = yaml.safe_load(file.read_text())["maskrcnn"]
    assert (planned["node_group"], planned["gpus"], planned["gpu_nodes"]) == ("g5", 64, 8)
    checked = subprocess.run([PROGRAM, "validate", CHART, "-f", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout

    nodes.destroy()
    cluster.destroy()
    assert inventory(clients) == before
