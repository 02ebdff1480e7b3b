"""What exists in an account, to see that destroy leaves nothing."""

from collections.abc import Callable
from typing import Any


def inventory(clients: Callable[[str], Any]) -> dict[str, set[str]]:
    """Names or IDs of all resources of the kinds that the Terraform creates and that last."""
    ec2, iam = clients("ec2"), clients("iam")
    return {
        "vpcs": _all(ec2.describe_vpcs(), "Vpcs", "VpcId"),
        "subnets": _all(ec2.describe_subnets(), "Subnets", "SubnetId"),
        "security groups": _all(ec2.describe_security_groups(), "SecurityGroups", "GroupId"),
        "launch templates": _all(ec2.describe_launch_templates(), "LaunchTemplates", "LaunchTemplateId"),
        "placement groups": _all(ec2.describe_placement_groups(), "PlacementGroups", "GroupName"),
        "addresses": _all(ec2.describe_addresses(), "Addresses", "AllocationId"),
        "NAT gateways": {
            gateway["NatGatewayId"]
            for gateway in ec2.describe_nat_gateways()["NatGateways"]
            if gateway["State"] != "deleted"
        },
        "internet gateways": _all(ec2.describe_internet_gateways(), "InternetGateways", "InternetGatewayId"),
        "endpoints": _all(ec2.describe_vpc_endpoints(), "VpcEndpoints", "VpcEndpointId"),
        "roles": _all(iam.list_roles(), "Roles", "RoleName"),
        "keys": {
            key["KeyId"]
            for key in clients("kms").list_keys()["Keys"]
            if not _deleted(clients("kms").describe_key(KeyId=key["KeyId"])["KeyMetadata"])
        },
        "logs": _all(clients("logs").describe_log_groups(), "logGroups", "logGroupName"),
        "clusters": set(clients("eks").list_clusters()["clusters"]),
        "file systems": _all(clients("efs").describe_file_systems(), "FileSystems", "FileSystemId"),
        "Lustre": _all(clients("fsx").describe_file_systems(), "FileSystems", "FileSystemId"),
        "repositories": _all(clients("ecr").describe_repositories(), "repositories", "repositoryName"),
        "buckets": _all(clients("s3").list_buckets(), "Buckets", "Name"),
    }


def _all(response: dict[str, Any], kind: str, name: str) -> set[str]:
    return {item[name] for item in response[kind]}


def _deleted(key: dict[str, Any]) -> bool:
    """KMS deletes keys after a week at the earliest."""
    return bool(key["KeyState"] == "PendingDeletion")
