"""What Terraform would create: the plan as JSON, without creating it."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from stand_in_server import REGION, StandIn
from terraform_roots import REPOSITORY, Root

CATALOGUE: dict[str, dict[str, Any]] = yaml.safe_load(
    (REPOSITORY / "charts" / "common" / "files" / "node-groups.yaml").read_text()
)
WORLD = {"0.0.0.0/0", "::/0"}
READS = re.compile(r"[a-z0-9-]+:(Describe|Get|List)\w+")


@pytest.fixture(scope="module")
def root(stand_in: StandIn, checkout: Path) -> Root:
    return Root(
        checkout,
        "aws-eks-cluster-and-nodegroup",
        stand_in.environment,
        region=REGION,
        cluster_name="planned",
        azs=["us-west-2a", "us-west-2b"],
        source_cidrs=["203.0.113.0/24"],
        import_path="s3://bucket/coco",
    )


@pytest.fixture(scope="module")
def plan(root: Root) -> dict[str, Any]:
    return root.planned()


@pytest.fixture(scope="module")
def catalogue_plan(stand_in: StandIn, checkout: Path) -> dict[str, Any]:
    """The plan of a node group for each row of the catalogue."""
    shutil.copytree(Path(__file__).with_name("catalogue"), checkout / "terraform" / "catalogue")
    return Root(checkout, "catalogue", stand_in.environment).planned()


@pytest.fixture(scope="module")
def depends(root: Root) -> dict[str, set[str]]:
    """All resources that a resource needs, directly or not, by address. They are destroyed after it."""
    direct: dict[str, set[str]] = {}
    for user, used in re.findall(r'"(\S+)" -> "(\S+)"', root.graph()):
        direct.setdefault(user, set()).add(used)

    def reached(address: str, visited: set[str]) -> set[str]:
        for used in direct.get(address, set()) - visited:
            visited.add(used)
            reached(used, visited)
        return visited

    return {address: reached(address, set()) for address in direct}


def created(plan: dict[str, Any], kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Address and attributes of the resources of a type."""
    for change in plan["resource_changes"]:
        if change["type"] == kind and change["mode"] == "managed":
            yield change["address"], change["change"]["after"]


def test_no_rule_lets_the_world_in_or_everything_out(plan: dict[str, Any]) -> None:
    rules = [
        *created(plan, "aws_vpc_security_group_ingress_rule"),
        *created(plan, "aws_vpc_security_group_egress_rule"),
    ]
    assert len(rules) == 9  # EFS 1; FSx 2 from nodes, 2 in and 2 out between servers; EFA 1 in and 1 out
    for address, rule in rules:
        assert not {rule["cidr_ipv4"], rule["cidr_ipv6"]} & WORLD, address
    for kind in ("aws_security_group", "aws_default_security_group"):
        for address, group in created(plan, kind):
            assert not group.get("ingress") and not group.get("egress"), address


def test_the_api_server_is_open_to_the_named_networks_only(plan: dict[str, Any]) -> None:
    ((_, cluster),) = created(plan, "aws_eks_cluster")
    assert cluster["vpc_config"][0]["public_access_cidrs"] == ["203.0.113.0/24"]


def test_policies_change_only_resources_that_they_name_or_tag(plan: dict[str, Any]) -> None:
    policies = list(created(plan, "aws_iam_role_policy"))
    assert len(policies) == 3
    for address, policy in policies:
        for statement in json.loads(policy["policy"])["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert "*" not in action, address
                assert statement["Resource"] != "*" or READS.fullmatch(action) or statement["Condition"], (
                    address
                )


def test_no_role_has_a_policy_of_aws_with_full_access(plan: dict[str, Any]) -> None:
    attached = {
        item["policy_arn"].rpartition("/")[2] for _, item in created(plan, "aws_iam_role_policy_attachment")
    }
    assert attached == {
        "AmazonEKSClusterPolicy",
        "AmazonEKSWorkerNodePolicy",
        "AmazonEKS_CNI_Policy",
        "AmazonEC2ContainerRegistryPullOnly",
        "AmazonSSMManagedInstanceCore",
    }


def test_what_is_stored_is_encrypted(plan: dict[str, Any]) -> None:
    for _, file_system in created(plan, "aws_efs_file_system"):
        assert file_system["encrypted"]
    for _, template in created(plan, "aws_launch_template"):
        assert template["block_device_mappings"][0]["ebs"][0]["encrypted"] == "true"
    assert len(list(created(plan, "aws_s3_bucket_server_side_encryption_configuration"))) == 1


def test_only_the_provider_of_aws_is_needed(plan: dict[str, Any]) -> None:
    """terraform-aws-eks#812, kubectl#79: nothing in the state needs a reachable API server on destroy."""
    providers = {provider["full_name"] for provider in plan["configuration"]["provider_config"].values()}
    assert providers == {"registry.terraform.io/hashicorp/aws"}


CLUSTER = "module.environment.module.cluster"
SYSTEM = "module.environment.module.system.aws_eks_node_group.this"
STORAGE = "module.environment.module.storage"


@pytest.mark.parametrize(
    ("user", "used"),
    [
        pytest.param(
            f"{CLUSTER}.aws_eks_cluster.this",
            f"{CLUSTER}.aws_iam_role_policy_attachment.cluster",
            id="terraform-provider-aws#30640: EKS deletes its interfaces with the policy",
        ),
        pytest.param(
            "module.training.aws_eks_node_group.this",
            f"{CLUSTER}.aws_iam_role_policy_attachment.node",
            id="terraform-provider-aws#9495: nodes join with the policies",
        ),
        pytest.param(
            "module.training.aws_eks_node_group.this",
            f"{CLUSTER}.aws_eks_addon.before_nodes",
            id="terraform-aws-eks#2004, #2048: vpc-cni outlives the nodes",
        ),
        pytest.param(
            "module.environment.aws_eks_addon.after_nodes",
            SYSTEM,
            id="terraform-aws-eks#3001, #1765: coredns and the CSI drivers wait for nodes",
        ),
        pytest.param(
            SYSTEM,
            "module.environment.module.network.aws_nat_gateway.this",
            id="nodes pull images through the NAT gateway",
        ),
        pytest.param(
            f"{STORAGE}.aws_fsx_lustre_file_system.this",
            f"{STORAGE}.aws_vpc_security_group_ingress_rule.nodes",
            id="aws-parallelcluster#6181: FSx checks its ports",
        ),
        pytest.param(
            f"{STORAGE}.aws_fsx_lustre_file_system.this",
            f"{STORAGE}.aws_vpc_security_group_egress_rule.lustre",
            id="aws-parallelcluster#6181: FSx checks its ports between servers",
        ),
    ],
)
def test_what_is_needed_is_created_first_and_destroyed_last(
    user: str, used: str, depends: dict[str, set[str]]
) -> None:
    assert used in depends[user]


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_node_group_is_what_its_row_of_the_catalogue_says(
    name: str, catalogue_plan: dict[str, Any]
) -> None:
    row = CATALOGUE[name]
    resources = {
        change["type"]: change["change"]["after"]
        for change in catalogue_plan["resource_changes"]
        if change["address"].startswith(f'module.nodegroup["{name}"].')
    }
    template, group = resources["aws_launch_template"], resources["aws_eks_node_group"]
    interfaces = template["network_interfaces"]
    assert [nic["network_card_index"] for nic in interfaces] == list(range(row["efa"]))
    assert [nic["device_index"] for nic in interfaces] == [0, *[1] * row["efa"]][: row["efa"]]
    assert [nic["interface_type"] for nic in interfaces] == ["efa", *["efa-only"] * row["efa"]][: row["efa"]]
    assert ("aws_placement_group" in resources) == ("aws_security_group" in resources) == (row["efa"] > 0)
    assert group["instance_types"] == [row["instance_type"]]
    assert group["ami_type"] == "AL2023_x86_64_NVIDIA"
    assert [taint["key"] for taint in group["taint"]] == [taint["key"] for taint in row["taints"]]
    assert all(taint["value"] for taint in group["taint"])
    assert not [label for label in group["labels"] if "kubernetes.io" in label or "k8s.io" in label]
    prefix = "k8s.io/cluster-autoscaler/node-template/resources/"
    tags = {key.removeprefix(prefix): value for key, value in group["tags"].items()}
    assert tags["nvidia.com/gpu"] == str(row["gpus"])
    assert tags.get("vpc.amazonaws.com/efa", "0") == str(row["efa"])
    assert (template["user_data"] is not None) == (row["nvme_gb"] > 0)
