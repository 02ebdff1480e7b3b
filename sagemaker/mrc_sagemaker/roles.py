"""The least that SageMaker's execution role needs for a training job and its endpoint."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

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
