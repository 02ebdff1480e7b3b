"""The quick option of the tutorial, applied to a stand-in for AWS: what EC2, EKS and mrc-values see of it."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from inventory import inventory
from mrc_images.table import IMAGES
from stand_in_server import REGION, StandIn
from terraform_roots import REPOSITORY, Root

PROGRAM = Path(sys.executable).with_name("mrc-values")
CHART = REPOSITORY / "charts" / "maskrcnn"
CLUSTER = "quick"
ZONES = ["us-west-2a", "us-west-2b", "us-west-2c"]
TEMPLATE_TAG = "k8s.io/cluster-autoscaler/node-template"

Clients = Callable[[str], Any]


@pytest.fixture(scope="module")
def before(clients: Clients) -> dict[str, set[str]]:
    return inventory(clients)


@pytest.fixture(scope="module")
def root(stand_in: StandIn, before: dict[str, set[str]], checkout: Path) -> Root:
    root = Root(
        checkout,
        "aws-eks-cluster-and-nodegroup",
        stand_in.environment,
        region=REGION,
        cluster_name=CLUSTER,
        azs=ZONES,
    )
    root.apply()
    return root


def template_data(clients: Clients, name: str) -> dict[str, Any]:
    """The newest version of the launch template of a node group."""
    templates = clients("ec2").describe_launch_templates()["LaunchTemplates"]
    (template,) = (item for item in templates if item["LaunchTemplateName"].startswith(f"{CLUSTER}-{name}-"))
    versions = clients("ec2").describe_launch_template_versions(
        LaunchTemplateId=template["LaunchTemplateId"], Versions=["$Latest"]
    )
    data: dict[str, Any] = versions["LaunchTemplateVersions"][0]["LaunchTemplateData"]
    return data


def nodegroup(clients: Clients, name: str) -> dict[str, Any]:
    described = clients("eks").describe_nodegroup(clusterName=CLUSTER, nodegroupName=name)
    group: dict[str, Any] = described["nodegroup"]
    return group


@pytest.mark.usefixtures("root")
def test_a_p4d_node_has_four_interfaces_with_the_groups_of_cluster_and_efa(clients: Clients) -> None:
    data = template_data(clients, "training")
    interfaces = data["NetworkInterfaces"]
    # The stand-in drops index of the card and type of the interface; test_plan.py has them.
    assert [interface["DeviceIndex"] for interface in interfaces] == [0, 1, 1, 1]
    groups = {tuple(sorted(interface["Groups"])) for interface in interfaces}
    assert len(groups) == 1
    assert len(groups.pop()) == 2
    assert not data.get("SecurityGroupIds")


def rules(clients: Clients, group: str) -> list[tuple[bool, str, int, int, str]]:
    """Egress, protocol, ports and the other group of a group's rules.

    Without rules for networks: the provider removes the one that EC2 adds, which the stand-in does not do.
    """
    answer = clients("ec2").describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])[
        "SecurityGroupRules"
    ]
    return sorted(
        (
            rule["IsEgress"],
            rule["IpProtocol"],
            rule["FromPort"],
            rule["ToPort"],
            rule["ReferencedGroupInfo"]["GroupId"],
        )
        for rule in answer
        if "ReferencedGroupInfo" in rule
    )


@pytest.mark.usefixtures("root")
def test_the_efa_group_opens_every_port_to_itself_and_has_no_cluster_tag(clients: Clients) -> None:
    groups = clients("ec2").describe_security_groups()["SecurityGroups"]
    (efa,) = (group for group in groups if group["GroupName"].startswith(f"{CLUSTER}-training-efa-"))
    itself = efa["GroupId"]
    assert rules(clients, itself) == [(False, "-1", -1, -1, itself), (True, "-1", -1, -1, itself)]
    assert not [tag for tag in efa.get("Tags", ()) if tag["Key"].startswith("kubernetes.io/cluster/")]


@pytest.mark.usefixtures("root")
def test_gpu_nodes_start_at_zero_and_are_tainted(clients: Clients) -> None:
    for name in ("training", "inference"):
        group = nodegroup(clients, name)
        assert (group["scalingConfig"]["minSize"], group["scalingConfig"]["desiredSize"]) == (0, 0)
        assert group["taints"] == [{"key": "nvidia.com/gpu", "value": "true", "effect": "NO_SCHEDULE"}]
    assert len(nodegroup(clients, "training")["subnets"]) == 1
    assert nodegroup(clients, "system")["scalingConfig"] == {"minSize": 2, "maxSize": 2, "desiredSize": 2}


@pytest.mark.usefixtures("root")
def test_the_autoscaler_can_learn_of_nodes_that_do_not_run_yet(clients: Clients) -> None:
    tags = nodegroup(clients, "training")["tags"]
    assert tags[f"{TEMPLATE_TAG}/resources/vpc.amazonaws.com/efa"] == "4"
    assert tags[f"{TEMPLATE_TAG}/resources/nvidia.com/gpu"] == "8"
    assert tags[f"{TEMPLATE_TAG}/resources/ephemeral-storage"] == "8000G"
    scaling = nodegroup(clients, "training")["resources"]["autoScalingGroups"][0]["name"]
    on_group = clients("autoscaling").describe_tags(
        Filters=[{"Name": "auto-scaling-group", "Values": [scaling]}]
    )["Tags"]
    assert (f"{TEMPLATE_TAG}/taint/nvidia.com/gpu", "true:NoSchedule") in {
        (tag["Key"], tag["Value"]) for tag in on_group
    }


@pytest.mark.usefixtures("root")
def test_every_zone_has_one_mount_target_that_nodes_may_reach(clients: Clients) -> None:
    (file_system,) = clients("efs").describe_file_systems()["FileSystems"]
    targets = clients("efs").describe_mount_targets(FileSystemId=file_system["FileSystemId"])["MountTargets"]
    subnets = clients("ec2").describe_subnets(SubnetIds=[target["SubnetId"] for target in targets])["Subnets"]
    assert sorted(subnet["AvailabilityZone"] for subnet in subnets) == ZONES
    (group,) = clients("efs").describe_mount_target_security_groups(
        MountTargetId=targets[0]["MountTargetId"]
    )["SecurityGroups"]
    nodes = clients("eks").describe_cluster(name=CLUSTER)["cluster"]["resourcesVpcConfig"]
    assert rules(clients, group) == [(False, "tcp", 2049, 2049, nodes["clusterSecurityGroupId"])]


@pytest.mark.usefixtures("root")
def test_lustre_is_in_the_zone_of_the_training_nodes_and_its_ports_are_open(clients: Clients) -> None:
    (file_system,) = clients("fsx").describe_file_systems()["FileSystems"]
    assert file_system["SubnetIds"] == nodegroup(clients, "training")["subnets"]
    assert file_system["LustreConfiguration"]["DeploymentType"] == "PERSISTENT_2"
    groups = clients("ec2").describe_security_groups()["SecurityGroups"]
    (group,) = (item["GroupId"] for item in groups if item["GroupName"] == f"{CLUSTER}-fsx")
    nodes = clients("eks").describe_cluster(name=CLUSTER)["cluster"]["resourcesVpcConfig"]
    # https://docs.aws.amazon.com/fsx/latest/LustreGuide/limit-access-security-groups.html
    expected = [
        (egress, "tcp", first, last, other)
        for first, last in ((988, 988), (1018, 1023))
        for egress, other in ((False, nodes["clusterSecurityGroupId"]), (False, group), (True, group))
    ]
    assert rules(clients, group) == sorted(expected)


@pytest.mark.usefixtures("root")
def test_the_api_server_is_private_unless_networks_are_named(clients: Clients) -> None:
    access = clients("eks").describe_cluster(name=CLUSTER)["cluster"]["resourcesVpcConfig"]
    assert (access["endpointPrivateAccess"], access["endpointPublicAccess"]) == (True, False)


@pytest.mark.usefixtures("root")
def test_pods_that_call_aws_have_roles(clients: Clients) -> None:
    associations = clients("eks").list_pod_identity_associations(clusterName=CLUSTER)["associations"]
    assert {one["serviceAccount"] for one in associations} == {
        "cluster-autoscaler",
        "efs-csi-controller-sa",
        "fsx-csi-controller-sa",
    }


def test_the_values_that_follow_are_valid_and_render(root: Root, clients: Clients, tmp_path: Path) -> None:
    file = tmp_path / "values.yaml"
    file.write_text("maskrcnn: {}\n")
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "layers": []}
    pushed = clients("ecr").put_image(
        repositoryName="mask-rcnn", imageManifest=json.dumps(manifest), imageTag="v1-gpu"
    )["image"]["imageId"]["imageDigest"]
    flags = ["--from-terraform", str(root.directory), "--nodes", "4", "-f", str(file), "--write"]
    done = subprocess.run([PROGRAM, "plan", CHART, *flags], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    values = yaml.safe_load(file.read_text())
    repositories = root.outputs()["mrc_values"]["repositories"]
    url = repositories["mask-rcnn"]
    assert {one.name for image in IMAGES for one in image.repositories} == repositories.keys()
    assert values["maskrcnn"]["image"] == f"{url}@{pushed}"
    assert (values["maskrcnn"]["node_group"], values["maskrcnn"]["gpus"]) == ("p4d", 32)
    checked = subprocess.run([PROGRAM, "validate", CHART, "-f", file], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
    objects = list(yaml.safe_load_all((tmp_path / "claims.yaml").read_text()))
    assert {item["metadata"].get("namespace", "kubeflow") for item in objects} == {"kubeflow"}
    assert {item["spec"]["csi"]["volumeHandle"] for item in objects if "csi" in item["spec"]} == {
        clients(service).describe_file_systems()["FileSystems"][0]["FileSystemId"]
        for service in ("efs", "fsx")
    }


def test_the_commands_for_the_cluster_follow_from_the_outputs(root: Root) -> None:
    flags = ["--from-terraform", str(root.directory), "--dry-run"]
    done = subprocess.run([PROGRAM, "cluster", "up", *flags], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    assert f"--set=autoDiscovery.clusterName={CLUSTER} --set=awsRegion={REGION} " in done.stdout
    assert (
        done.stdout.count("kind: PersistentVolumeClaim\n") == 4
    )  # twice each, as each volume names its claim


def test_destroy_leaves_nothing(root: Root, clients: Clients, before: dict[str, set[str]]) -> None:
    """Last, because the other tests need what it destroys."""
    assert any(inventory(clients)[kind] - before[kind] for kind in before)
    # The provider waits 10 minutes before it asks whether FSx is deleted.
    (file_system,) = clients("fsx").describe_file_systems()["FileSystems"]
    root.forget("module.environment.module.storage.aws_fsx_lustre_file_system.this[0]")
    clients("fsx").delete_file_system(FileSystemId=file_system["FileSystemId"])
    root.destroy()
    assert root.resources() == []
    assert inventory(clients) == before
