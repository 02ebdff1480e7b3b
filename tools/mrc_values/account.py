"""What an AWS account has, and whether a cluster with some GPU nodes fits into it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mrc_cli import aws, suggestions
from mrc_cli.errors import ServiceError
from mrc_cli.findings import Finding, Position

from mrc_values.catalogue import NodeGroup
from mrc_values.rules import CLUSTER_RULES

SYSTEM_VCPUS = 8
"""Two m5.xlarge nodes, as in terraform/modules/environment."""

VCPU_QUOTAS = {"P": "L-417A185B", "G and VT": "L-DB2E81BA", "Standard": "L-1216C47A"}
"""Codes of the quotas Running On-Demand instances of each class, in vCPUs."""

_CLASSES = {"p": "P", "g": "G and VT", "gr": "G and VT", "vt": "G and VT"} | dict.fromkeys(
    ("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), "Standard"
)
"""By the letters that an instance type starts with."""

VPC_QUOTA = ("vpc", "L-F678F1CE")
ADDRESS_QUOTA = ("ec2", "L-0263D0A3")


@dataclass(frozen=True)
class Reservation:
    """A capacity reservation or capacity block; ``available`` counts free instances."""

    id: str
    state: str
    instance_type: str
    zone: str
    available: int


@dataclass(frozen=True)
class Bucket:
    """A bucket and its region; empty if there is no such bucket."""

    name: str
    region: str


@dataclass(frozen=True)
class Account:
    """What the account has in a region.

    Attributes:
        zones: zones that offer the instance type.
        quotas: vCPUs by class of instances.
        running: vCPUs of pending and running instances, by the same classes.
    """

    region: str
    zones: tuple[str, ...] = ()
    quotas: Mapping[str, float] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    vpcs: int = 0
    vpc_quota: float = 0
    addresses: int = 0
    address_quota: float = 0
    reservation: Reservation | None = None
    bucket: Bucket | None = None


def check(account: Account, group: NodeGroup, nodes: int, zone: str | None = None) -> list[Finding]:
    """What is in the way of a cluster with ``nodes`` nodes of a group, in the order of the rules.

    ``zone`` is the intended one of the training nodes.
    """
    place = Position(account.region)
    return [
        Finding(place, CLUSTER_RULES[rule].severity, rule, (), message, fix)
        for rule, message, fix in (
            *_offered(account, group, zone),
            *_vcpus(account, group, nodes),
            *_network(account),
            *_reserved(account, group, nodes, zone),
            *_stored(account),
        )
    ]


def instance_class(instance_type: str) -> str:
    """The class of an instance type in the quotas; empty for those that no node group has, such as inf2."""
    family = re.match("[a-z]+", instance_type)
    return _CLASSES.get(family[0], "") if family else ""


Problem = tuple[str, str, str]


def _offered(account: Account, group: NodeGroup, zone: str | None) -> Iterator[Problem]:
    if group.retired or not account.zones:
        why = "AWS no longer offers it" if group.retired else f"not offered in {account.region}"
        yield (
            "MRC150",
            f"{group.name}: {group.instance_type}: {why}.",
            "Choose another node group.",
        )
    elif zone and zone not in account.zones:
        yield (
            "MRC151",
            f"{zone} does not offer {group.instance_type}.",
            f"Set training_zone to {_either(account.zones)}.",
        )


def _vcpus(account: Account, group: NodeGroup, nodes: int) -> Iterator[Problem]:
    needed = {instance_class(group.instance_type): nodes * int(group.row["vcpus"])}
    needed["Standard"] = needed.get("Standard", 0) + SYSTEM_VCPUS
    for name, wanted in needed.items():
        running, quota = account.running.get(name, 0), account.quotas.get(name, 0)
        if running + wanted > quota:
            yield (
                "MRC152",
                f"the quota of On-Demand {name} instances is {quota:g} vCPUs; {running} are running, and "
                f"{wanted} are needed.",
                f"Request {running + wanted} for the quota {VCPU_QUOTAS[name]}, or plan fewer nodes.",
            )


def _network(account: Account) -> Iterator[Problem]:
    for what, used, quota, code in (
        ("VPCs", account.vpcs, account.vpc_quota, VPC_QUOTA[1]),
        ("public addresses", account.addresses, account.address_quota, ADDRESS_QUOTA[1]),
    ):
        if used + 1 > quota:
            yield (
                "MRC153",
                f"{used} {what} of {quota:g} are in use, and the cluster needs one.",
                f"Release one, or request {used + 1} for the quota {code}.",
            )


def _reserved(account: Account, group: NodeGroup, nodes: int, zone: str | None) -> Iterator[Problem]:
    reservation = account.reservation
    if reservation is None:
        return
    if reservation.state != "active":
        yield (
            "MRC154",
            f"{reservation.id} is {reservation.state}, not active.",
            "Choose a reservation that is active now.",
        )
    elif reservation.instance_type != group.instance_type:
        yield (
            "MRC154",
            f"{reservation.id} is for {reservation.instance_type}, not {group.instance_type}.",
            "Choose the node group of the reservation.",
        )
    elif zone and zone != reservation.zone:
        yield (
            "MRC154",
            f"{reservation.id} is in {reservation.zone}.",
            f"Set training_zone to {reservation.zone}.",
        )
    elif nodes > reservation.available:
        yield (
            "MRC154",
            f"{reservation.id} has {reservation.available} free instances, not {nodes}.",
            f"Plan {reservation.available} nodes, or enlarge it.",
        )


def _stored(account: Account) -> Iterator[Problem]:
    bucket = account.bucket
    if bucket and not bucket.region:
        yield "MRC155", f"the bucket {bucket.name} does not exist.", "Create it, or correct its name."
    elif bucket and bucket.region != account.region:
        yield (
            "MRC155",
            f"the bucket {bucket.name} is in {bucket.region}, and the cluster in {account.region}.",
            f"Copy the data to a bucket in {account.region}, or create the cluster in {bucket.region}.",
        )


def _either(zones: tuple[str, ...]) -> str:
    return " or ".join(zones)


def read(region: str, group: NodeGroup, reservation: str | None = None, bucket: str | None = None) -> Account:
    """Ask AWS. ``bucket`` is a name.

    Raises:
        ServiceError: when the credentials cannot be used, or AWS cannot be reached or denies a request.
    """
    _check_credentials(region)
    ec2, quotas = aws.client("ec2", region), aws.client("service-quotas", region)
    return Account(
        region=region,
        zones=zones(ec2, group.instance_type),
        quotas={name: _quota(quotas, "ec2", code) for name, code in VCPU_QUOTAS.items()},
        running=_running(ec2),
        vpcs=len(_described(ec2, "describe_vpcs", "Vpcs", "ec2:DescribeVpcs")),
        vpc_quota=_quota(quotas, *VPC_QUOTA),
        addresses=_addresses(ec2),
        address_quota=_quota(quotas, *ADDRESS_QUOTA),
        reservation=_reservation(ec2, reservation) if reservation else None,
        bucket=_bucket(aws.client("s3", region), bucket) if bucket else None,
    )


def _check_credentials(region: str) -> None:
    """Raises ServiceError for every fault of credentials, profile or region."""
    sts = aws.client("sts", region)
    try:
        with aws.calling("sts:GetCallerIdentity"):
            sts.get_caller_identity()
    except ServiceError as error:
        # Newer regions than the installed boto3 knows exist, so this alone is no reason to stop.
        known = _regions()
        if region in known:
            raise
        meant = suggestions.nearest(region, known)
        hint = f" Did you mean {meant}?" if meant else ""
        raise ServiceError(f"{error} {region} is no region that boto3 knows.{hint}") from None
    except EOFError:
        raise ServiceError(
            "sts:GetCallerIdentity: the profile asks for an MFA code, and there is no terminal to type it "
            "on. Run this in a terminal, or get a session token first."
        ) from None
    except OSError as error:  # a file of the profile, such as its web identity token
        where = f"{error.filename}: " if error.filename else ""
        raise ServiceError(
            f"sts:GetCallerIdentity: the AWS credentials cannot be used: {where}{error.strerror or error}"
        ) from None


def _regions() -> list[str]:
    """Regions that the installed boto3 knows."""
    import boto3

    return list(boto3.session.Session().get_available_regions("sts"))


def zones(ec2: Any, instance_type: str) -> tuple[str, ...]:
    """Zones of the client's region that offer an instance type."""
    offerings = _described(
        ec2,
        "describe_instance_type_offerings",
        "InstanceTypeOfferings",
        "ec2:DescribeInstanceTypeOfferings",
        LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [instance_type]}],
    )
    return tuple(sorted(offering["Location"] for offering in offerings))


def _running(ec2: Any) -> dict[str, int]:
    """Spot instances have quotas of their own."""
    reservations = _described(
        ec2,
        "describe_instances",
        "Reservations",
        "ec2:DescribeInstances",
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running"]}],
    )
    totals: dict[str, int] = {}
    for instance in (instance for reservation in reservations for instance in reservation["Instances"]):
        if instance.get("InstanceLifecycle") == "spot":
            continue
        cpus = instance.get("CpuOptions", {})
        name = instance_class(instance["InstanceType"])
        totals[name] = totals.get(name, 0) + cpus.get("CoreCount", 0) * cpus.get("ThreadsPerCore", 1)
    return totals


def _addresses(ec2: Any) -> int:
    with aws.calling("ec2:DescribeAddresses"):
        return len(ec2.describe_addresses()["Addresses"])


def _reservation(ec2: Any, name: str) -> Reservation:
    with aws.calling("ec2:DescribeCapacityReservations"):
        described = ec2.describe_capacity_reservations(CapacityReservationIds=[name])["CapacityReservations"][
            0
        ]
    return Reservation(
        name,
        described["State"],
        described["InstanceType"],
        described["AvailabilityZone"],
        described["AvailableInstanceCount"],
    )


def _bucket(s3: Any, name: str) -> Bucket:
    """S3 names the region of every bucket, also to those who may not read it."""
    from botocore.exceptions import ClientError

    with aws.calling("s3:ListBucket"):
        try:
            headers = s3.head_bucket(Bucket=name)["ResponseMetadata"]["HTTPHeaders"]
        except ClientError as error:
            headers = error.response["ResponseMetadata"].get("HTTPHeaders", {})
            if error.response["Error"]["Code"] in ("404", "NoSuchBucket"):
                return Bucket(name, "")
            if "x-amz-bucket-region" not in headers:
                raise
    return Bucket(name, headers["x-amz-bucket-region"])


def _quota(quotas: Any, service: str, code: str) -> float:
    """The account's value; AWS's default where none was ever applied."""
    with aws.calling("servicequotas:GetServiceQuota"):
        try:
            answer = quotas.get_service_quota(ServiceCode=service, QuotaCode=code)
        except quotas.exceptions.NoSuchResourceException:
            answer = quotas.get_aws_default_service_quota(ServiceCode=service, QuotaCode=code)
    return float(answer["Quota"]["Value"])


def _described(client: Any, call: str, key: str, action: str, **arguments: Any) -> list[dict[str, Any]]:
    with aws.calling(action):
        return [item for page in client.get_paginator(call).paginate(**arguments) for item in page[key]]
