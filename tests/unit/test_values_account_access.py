"""Every way in which mrc-values preflight has no access to AWS is one line and exit code 3."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from aws_in_moto import empty_aws
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from mrc_cli import aws
from mrc_cli.errors import ServiceError
from mrc_values import account, catalogue
from values_files import CHART

PROGRAM = Path(sys.executable).with_name("mrc-values")
GROUPS = catalogue.load(CHART).node_groups
KEYS = "aws_access_key_id = test\naws_secret_access_key = test\n"
ROLE = "role_arn = arn:aws:iam::123456789012:role/train\n"


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of the machine's user, and no request leaves this machine."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))


def read(region: str = "us-west-2") -> str:
    """The one line of the ServiceError that reading the account ends with."""
    with pytest.raises(ServiceError) as raised:
        account.read(region, GROUPS["p4d"])
    assert raised.value.exit_code == 3
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("", "no AWS credentials were found. Run aws configure, or set AWS_PROFILE."),
        ("[default]\naws_access_key_id = test\n", "the AWS credentials cannot be used: Partial credentials"),
        (
            "[default]\ncredential_process = false\n",
            "the AWS credentials cannot be used: Error when retrieving",
        ),
        ("[default\nkeys", "Unable to parse config file"),
        (f"[default]\n{ROLE}source_profile = gone\n", "gone"),
        (f"[default]\n{ROLE}credential_source = Moon\n", "Moon"),
        (f"[default]\n{ROLE}web_identity_token_file = /gone/token\n", "/gone/token: No such file"),
        (
            "[default]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = train\n"
            "[sso-session corp]\nsso_region = us-west-2\nsso_start_url = https://example.com/start\n",
            "the login to AWS has expired. Run: aws sso login",
        ),
    ],
)
def test_settings_that_give_no_credentials(config: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(config)
    assert words in read()


def test_a_profile_that_asks_for_a_code_without_a_terminal(tmp_path: Path) -> None:
    role = f"{ROLE}source_profile = user\nmfa_serial = arn:aws:iam::123456789012:mfa/me\n"
    (tmp_path / "config").write_text(f"[default]\n{role}[profile user]\n{KEYS}")
    done = subprocess.run(
        [PROGRAM, "preflight", "--region=us-west-2", "--node-group=p4d", "--nodes=1", CHART],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # without the terminal of whoever runs the tests
    )
    assert done.returncode == 3
    assert "the profile asks for an MFA code, and there is no terminal" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_profile_that_does_not_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing")
    assert "missing) could not be found. Correct AWS_PROFILE." in read()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("ExpiredToken", "the AWS credentials have expired. Log in again."),
        (
            "InvalidClientTokenId",
            "the access key, AWS_PROFILE, this machine's clock, and that the account has",
        ),
        ("SignatureDoesNotMatch", "AWS does not accept the credentials (SignatureDoesNotMatch)"),
        ("AccessDenied", "AWS denies it. Add this action to your policy."),
        ("ThrottlingException", "AWS still limits the rate of requests"),
    ],
)
def test_credentials_that_aws_rejects(code: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    sts: Any = boto3.client("sts", "us-west-2", aws_access_key_id="test", aws_secret_access_key="test")
    monkeypatch.setattr(aws, "client", lambda *_: sts)
    with Stubber(sts) as stub:
        stub.add_client_error("get_caller_identity", code)
        assert read().startswith("sts:GetCallerIdentity: ")
        stub.add_client_error("get_caller_identity", code)
        assert words in read()


def test_a_role_that_may_not_be_assumed_is_told_from_a_missing_permission() -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
    with (
        pytest.raises(ServiceError, match=r"^sts:AssumeRole: AWS denies it"),
        aws.calling("sts:GetCallerIdentity"),
    ):
        raise denied


def test_a_region_that_does_not_exist(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"[default]\n{KEYS}")
    monkeypatch.setattr(aws, "MAX_ATTEMPTS", 1)
    # The name of a region that does not exist is resolved to nothing; so is every name without a network.
    message = read("us-esat-1")
    assert "AWS cannot be reached: " in message
    assert message.endswith("us-esat-1 is no region that boto3 knows. Did you mean us-east-1?")
    assert (
        read("us_west 2") == "sts client: Provided region_name 'us_west 2' doesn't match a supported format."
    )


@pytest.fixture(scope="module")
def ec2() -> Iterator[Any]:
    """EC2 of moto, which has AWS's own descriptions of instance types and offerings."""
    with empty_aws() as environment, pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        yield aws.client("ec2", "us-west-2")


def test_zones_are_those_of_aws_offerings(ec2: Any) -> None:
    offered = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "location", "Values": ["us-west-2c"]}]
    )["InstanceTypeOfferings"]
    in_c = {offering["InstanceType"] for offering in offered}
    for name in ("p4d", "p5en", "g4dn"):
        group = GROUPS[name]
        assert ("us-west-2c" in account.zones(ec2, group.instance_type)) == (group.instance_type in in_c), (
            name
        )
    assert account.zones(ec2, "p9.48xlarge") == ()


@pytest.mark.parametrize("name", [name for name, group in GROUPS.items() if not group.retired])
def test_a_row_of_the_catalogue_is_what_aws_describes(ec2: Any, name: str) -> None:
    row = GROUPS[name].row
    (described,) = ec2.describe_instance_types(InstanceTypes=[row["instance_type"]])["InstanceTypes"]
    (gpus,) = described["GpuInfo"]["Gpus"]
    assert (gpus["Count"], gpus["MemoryInfo"]["SizeInMiB"]) == (row["gpus"], row["gpu_memory_mib"])
    assert (described["VCpuInfo"]["DefaultVCpus"], described["MemoryInfo"]["SizeInMiB"]) == (
        row["vcpus"],
        row["memory_gib"] * 1024,
    )
    assert described["NetworkInfo"].get("EfaInfo", {}).get("MaximumEfaInterfaces", 0) == row["efa"]
