"""mrc-values preflight: whether a cluster fits into an AWS account, before it is created."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber
from mrc_cli import aws
from mrc_cli.errors import ServiceError
from mrc_values import account, catalogue
from mrc_values.account import Account, Bucket, Reservation, check, instance_class
from values_files import CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
GROUPS = catalogue.load(CHART).node_groups

ENOUGH = Account(
    region="us-west-2",
    zones=("us-west-2a", "us-west-2b"),
    quotas={"P": 384, "G and VT": 64, "Standard": 64},
    running={"Standard": 56},
    vpcs=4,
    vpc_quota=5,
    addresses=0,
    address_quota=5,
)
BLOCK = Reservation("cr-0123456789abcdef0", "active", "p4d.24xlarge", "us-west-2a", 4)


@pytest.mark.parametrize(
    ("changes", "group", "zone", "expected"),
    [
        ({}, "p4d", "us-west-2a", ""),
        ({}, "g4dn", None, ""),
        (
            {},
            "p4d",
            "us-west-2c",
            "MRC151: us-west-2c does not offer p4d.24xlarge. Set training_zone to us-west-2a or us-west-2b.",
        ),
        (
            {"zones": ()},
            "p4d",
            None,
            "MRC150: p4d: p4d.24xlarge: not offered in us-west-2. Choose another node group.",
        ),
        (
            {},
            "p3",
            None,
            "MRC150: p3: p3.16xlarge: AWS no longer offers it. Choose another node group.",
        ),
        (
            {"running": {"P": 96}},
            "p4d",
            None,
            "MRC152: the quota of On-Demand P instances is 384 vCPUs; 96 are running, and 384 are needed. "
            "Request 480 for the quota L-417A185B, or plan fewer nodes.",
        ),
        (
            {"quotas": {"P": 384, "Standard": 63}},
            "p4d",
            None,
            "MRC152: the quota of On-Demand Standard instances is 63 vCPUs; 56 are running, and 8 are "
            "needed. Request 64 for the quota L-1216C47A, or plan fewer nodes.",
        ),
        (
            {"vpcs": 5},
            "p4d",
            None,
            "MRC153: 5 VPCs of 5 are in use, and the cluster needs one. Release one, or request 6 for the "
            "quota L-F678F1CE.",
        ),
        ({"reservation": BLOCK}, "p4d", "us-west-2a", ""),
        (
            {"reservation": replace(BLOCK, state="expired")},
            "p4d",
            None,
            "MRC154: cr-0123456789abcdef0 is expired, not active. Choose a reservation that is active now.",
        ),
        (
            {"reservation": replace(BLOCK, available=1)},
            "p4d",
            None,
            "MRC154: cr-0123456789abcdef0 has 1 free instances, not 4. Plan 1 nodes, or enlarge it.",
        ),
        (
            {"reservation": BLOCK},
            "p4d",
            "us-west-2b",
            "MRC154: cr-0123456789abcdef0 is in us-west-2a. Set training_zone to us-west-2a.",
        ),
        ({"bucket": Bucket("coco", "us-west-2")}, "p4d", None, ""),
        (
            {"bucket": Bucket("coco", "eu-west-1")},
            "p4d",
            None,
            "MRC155: the bucket coco is in eu-west-1, and the cluster in us-west-2. Copy the data to a "
            "bucket in us-west-2, or create the cluster in eu-west-1.",
        ),
        (
            {"bucket": Bucket("coco", "")},
            "p4d",
            None,
            "MRC155: the bucket coco does not exist. Create it, or correct its name.",
        ),
    ],
)  # fmt: skip
def test_what_is_in_the_way_is_a_finding(
    changes: dict[str, Any], group: str, zone: str | None, expected: str
) -> None:
    findings = check(replace(ENOUGH, **changes), GROUPS[group], 4, zone)
    assert "\n".join(f"{finding.rule}: {finding.message} {finding.fix}" for finding in findings) == expected


@pytest.mark.parametrize(
    ("instance_type", "expected"),
    [
        # https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
        ("p5en.48xlarge", "P"),
        ("g4dn.xlarge", "G and VT"),
        ("m5.xlarge", "Standard"),
        ("inf2.xlarge", ""),
        ("trn1.32xlarge", ""),
    ],
)
def test_instance_types_count_against_the_quota_of_their_class(instance_type: str, expected: str) -> None:
    assert instance_class(instance_type) == expected


@pytest.fixture
def stubs(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Stubber]]:
    """``stubs(service)``: the botocore stubber of the client that mrc-values will get."""
    clients: dict[str, Any] = {}
    stubbers: dict[str, Stubber] = {}
    credentials = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}

    def stub(service: str) -> Stubber:
        if service not in stubbers:
            clients[service] = boto3.client(service, region_name="us-west-2", **credentials)
            stubbers[service] = Stubber(clients[service])
            stubbers[service].activate()
        return stubbers[service]

    def client(service: str, region: str | None = None) -> Any:
        stub(service)
        return clients[service]

    monkeypatch.setattr(aws, "client", client)
    yield stub
    for stubber in stubbers.values():
        stubber.assert_no_pending_responses()


def quota(stub: Stubber, service: str, code: str, value: float) -> None:
    stub.add_response(
        "get_service_quota", {"Quota": {"Value": value}}, {"ServiceCode": service, "QuotaCode": code}
    )


def test_the_account_is_read_as_the_api_describes_it(stubs: Callable[[str], Stubber]) -> None:
    stubs("sts").add_response("get_caller_identity", {"Account": "123456789012"}, {})
    quotas = stubs("service-quotas")
    quota(quotas, "ec2", "L-417A185B", 384)
    quotas.add_client_error("get_service_quota", "NoSuchResourceException")  # no value was ever applied
    quotas.add_response(
        "get_aws_default_service_quota",
        {"Quota": {"Value": 0}},
        {"ServiceCode": "ec2", "QuotaCode": "L-DB2E81BA"},
    )
    quota(quotas, "ec2", "L-1216C47A", 64)
    quota(quotas, "vpc", "L-F678F1CE", 5)
    quota(quotas, "ec2", "L-0263D0A3", 6)
    ec2 = stubs("ec2")
    ec2.add_response(
        "describe_instance_type_offerings",
        {"InstanceTypeOfferings": [{"Location": "us-west-2b"}, {"Location": "us-west-2a"}]},
        {
            "LocationType": "availability-zone",
            "Filters": [{"Name": "instance-type", "Values": ["p4d.24xlarge"]}],
        },
    )
    p4d = {"InstanceType": "p4d.24xlarge", "CpuOptions": {"CoreCount": 48, "ThreadsPerCore": 2}}
    ec2.add_response(
        "describe_instances",
        {"Reservations": [{"Instances": [p4d, p4d | {"InstanceLifecycle": "spot"}]}]},
        {"Filters": [{"Name": "instance-state-name", "Values": ["pending", "running"]}]},
    )
    ec2.add_response("describe_vpcs", {"Vpcs": [{"VpcId": "vpc-1"}]}, {})
    ec2.add_response("describe_addresses", {"Addresses": [{"PublicIp": "203.0.113.1"}] * 2}, {})
    ec2.add_response(
        "describe_capacity_reservations",
        {
            "CapacityReservations": [
                {
                    "State": "active",
                    "InstanceType": "p4d.24xlarge",
                    "AvailabilityZone": "us-west-2a",
                    "AvailableInstanceCount": 4,
                    "StartDate": datetime(2026, 11, 28, tzinfo=UTC),
                }
            ]
        },
        {"CapacityReservationIds": [BLOCK.id]},
    )
    answer = {"ResponseMetadata": {"HTTPHeaders": {"x-amz-bucket-region": "eu-west-1"}}}
    stubs("s3").add_response("head_bucket", answer, {"Bucket": "coco"})
    assert account.read("us-west-2", GROUPS["p4d"], BLOCK.id, "coco") == Account(
        region="us-west-2",
        zones=("us-west-2a", "us-west-2b"),
        quotas={"P": 384, "G and VT": 0, "Standard": 64},
        running={"P": 96},
        vpcs=1,
        vpc_quota=5,
        addresses=2,
        address_quota=6,
        reservation=BLOCK,
        bucket=Bucket("coco", "eu-west-1"),
    )


def test_a_denied_request_names_its_permission(stubs: Callable[[str], Stubber]) -> None:
    stubs("sts").add_response("get_caller_identity", {}, {})
    stubs("ec2").add_client_error("describe_instance_type_offerings", "UnauthorizedOperation")
    with pytest.raises(ServiceError, match="ec2:DescribeInstanceTypeOfferings: AWS denies it"):
        account.read("us-west-2", GROUPS["p4d"])


def call(*arguments: str, directory: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return subprocess.run(
        [PROGRAM, "preflight", *arguments, str(CHART)],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
        env=clean | {"AWS_EC2_METADATA_DISABLED": "true", "HOME": str(directory)} | settings,
    )


def test_no_credentials_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    flags = ("--region", "us-west-2", "--node-group", "p4d", "--nodes", "1")
    done = call(*flags, directory=tmp_path)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "mrc-values: sts:GetCallerIdentity: no AWS credentials were found. Run aws configure, or set "
        "AWS_PROFILE.\n"
    )


def test_an_unknown_node_group_is_wrong_usage(tmp_path: Path) -> None:
    done = call("--region", "us-west-2", "--node-group", "p9", "--nodes", "1", directory=tmp_path)
    assert done.returncode == 2
    assert "--node-group p9: not in the catalogue of" in done.stderr
