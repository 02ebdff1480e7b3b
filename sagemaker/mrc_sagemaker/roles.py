"""The least that SageMaker's execution role needs for a training job and its endpoint."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from mrc_cli.aws import calling, client
from mrc_cli.errors import UserError
from mrc_cli.terminal import say
from mrc_images.ecr_address import REGISTRY

from mrc_sagemaker.ack import Resource

Document = dict[str, Any]

TRUST: Document = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Effect": "Allow",
            "Principal": {"Service": "sagemaker.amazonaws.com"},
            "Action": "sts:AssumeRole",
        }
    ],
}
"""Who may take the role."""

_S3 = re.compile(r"^s3://([^/]+)/?(.*)$")
_ECR = re.compile(REGISTRY.pattern + "(?P<repository>[^:@]+)")

_PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
_WRITTEN = ("OutputDataConfig", "CheckpointConfig", "AsyncInferenceConfig")


def policy(resources: Iterable[Resource]) -> Document:
    """What the role may do: read data and images, write results, logs and metrics."""
    read: set[tuple[str, str]] = set()
    write: set[tuple[str, str]] = set()
    repositories: set[str] = set()
    network = False
    for resource in resources:
        for path, text in _texts(resource.request):
            if match := _S3.match(text):
                written = path[0] in _WRITTEN
                (write if written else read).add((match[1], match[2].rstrip("/")))
            elif match := _ECR.match(text):
                repositories.add(
                    f"arn:aws:ecr:{match['region']}:{match['account']}:repository/{match['repository']}"
                )
        network = network or "VpcConfig" in resource.request
    buckets = sorted({f"arn:aws:s3:::{bucket}" for bucket, _ in read | write})
    statements = [
        _allow(["s3:ListBucket"], buckets),
        _allow(["s3:GetObject"], _objects(read | write)),
        _allow(["s3:PutObject", "s3:AbortMultipartUpload"], _objects(write)),
        _allow([f"ecr:{action}" for action in _PULL], repositories),
        _allow(["ecr:GetAuthorizationToken", "cloudwatch:PutMetricData"], ["*"]),
        _allow(
            ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            ["arn:aws:logs:*:*:log-group:/aws/sagemaker/*"],
        ),
    ]
    if network:
        actions = ["CreateNetworkInterface", "CreateNetworkInterfacePermission", "DeleteNetworkInterface"]
        actions += ["DeleteNetworkInterfacePermission", "DescribeDhcpOptions", "DescribeNetworkInterfaces"]
        actions += ["DescribeSecurityGroups", "DescribeSubnets", "DescribeVpcs"]
        statements.append(_allow([f"ec2:{action}" for action in actions], ["*"]))
    return {
        "Version": "2012-10-17",
        "Statement": [statement for statement in statements if statement["Resource"]],
    }


POLICY_NAME = "mrc-sagemaker"
"""Name of the inline policy; others of the role are left alone."""


def ensure(name: str, document: Document) -> str:
    """Create a role that SageMaker may take, or update its policy; its ARN.

    Raises:
        UserError: when a role of this name exists that SageMaker may not take.
        ServiceError: when AWS cannot be reached or denies a request.
    """
    iam = client("iam")
    with calling("iam:GetRole"):
        try:
            role = iam.get_role(RoleName=name)["Role"]
        except iam.exceptions.NoSuchEntityException:
            role = None
    if role is None:
        with calling("iam:CreateRole"):
            role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
        say(f"mrc-sagemaker: created role {name}; SageMaker knows it in some seconds")
    elif TRUST["Statement"][0]["Principal"]["Service"] not in json.dumps(role["AssumeRolePolicyDocument"]):
        raise UserError(
            f"role {name} already exists, but SageMaker may not take it. Use another name, or add "
            "sagemaker.amazonaws.com to its trust policy"
        )
    with calling("iam:PutRolePolicy"):
        iam.put_role_policy(RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(document))
    return str(role["Arn"])


def _allow(actions: list[str], resources: Iterable[str]) -> Document:
    return {"Effect": "Allow", "Action": actions, "Resource": sorted(resources)}


def _objects(prefixes: Iterable[tuple[str, str]]) -> list[str]:
    """ARNs of the objects below prefixes."""
    return [f"arn:aws:s3:::{bucket}/{prefix}*" for bucket, prefix in prefixes]


def _texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, str):
        yield path or ("",), value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, (*path, name))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, path)
