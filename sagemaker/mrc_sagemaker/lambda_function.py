"""The Lambda function in AWS: its zip, the function, the permission for S3, and the bucket's notification."""

import io
import zipfile
from collections.abc import Mapping
from importlib import resources
from typing import Any

from mrc_cli.aws import calling, client
from mrc_cli.terminal import say

RUNTIME = "python3.13"
TIMEOUT = 120
"""Seconds; an endpoint answers within 60, and the request is tried twice."""

MEMORY_MIB = 512
_STATEMENT = "s3-starts-it"


def archive() -> bytes:
    """The zip with ``handler.py``; the same bytes each time, so that an unchanged function stays as it is."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as file:
        entry = zipfile.ZipInfo("handler.py", (1980, 1, 1, 0, 0, 0))
        entry.external_attr = 0o644 << 16
        file.writestr(entry, resources.files("mrc_sagemaker").joinpath("lambda_handler.py").read_bytes())
    return data.getvalue()


def install(name: str, role: str, environment: Mapping[str, str], bucket: str, region: str | None) -> str:
    """Create or update the function, and let new objects in the bucket start it; its ARN."""
    api = client("lambda", region)
    settings: dict[str, Any] = {
        "Role": role,
        "Runtime": RUNTIME,
        "Handler": "handler.handle",
        "Timeout": TIMEOUT,
        "MemorySize": MEMORY_MIB,
        "Environment": {"Variables": dict(environment)},
    }
    arn = _function(api, name, settings)
    _permission(api, name, bucket)
    _notification(client("s3", region), bucket, name, arn)
    return arn


def _function(api: Any, name: str, settings: dict[str, Any]) -> str:
    with calling("lambda:CreateFunction"):
        try:
            function = api.get_function(FunctionName=name)
        except api.exceptions.ResourceNotFoundException:
            created = api.create_function(FunctionName=name, Code={"ZipFile": archive()}, **settings)
            say(f"mrc-sagemaker: created function {name}")
            api.get_waiter("function_active_v2").wait(FunctionName=name)
            return str(created["FunctionArn"])
        api.update_function_code(FunctionName=name, ZipFile=archive())
        api.get_waiter("function_updated_v2").wait(FunctionName=name)
        api.update_function_configuration(FunctionName=name, **settings)
        say(f"mrc-sagemaker: updated function {name}")
        return str(function["Configuration"]["FunctionArn"])


def _permission(api: Any, name: str, bucket: str) -> None:
    with calling("lambda:AddPermission"):
        try:
            api.add_permission(
                FunctionName=name,
                StatementId=_STATEMENT,
                Action="lambda:InvokeFunction",
                Principal="s3.amazonaws.com",
                SourceArn=f"arn:aws:s3:::{bucket}",
            )
        except api.exceptions.ResourceConflictException:
            say(f"mrc-sagemaker: S3 may start {name} already")


def _notification(s3: Any, bucket: str, name: str, arn: str) -> None:
    """Add ours to the bucket's notifications: the request replaces all of them."""
    with calling("s3:PutBucketNotificationConfiguration"):
        present = s3.get_bucket_notification_configuration(Bucket=bucket)
        present.pop("ResponseMetadata", None)
        others = [
            entry for entry in present.get("LambdaFunctionConfigurations", []) if entry.get("Id") != name
        ]
        ours = {"Id": name, "LambdaFunctionArn": arn, "Events": ["s3:ObjectCreated:*"]}
        configuration = {**present, "LambdaFunctionConfigurations": [*others, ours]}
        s3.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=configuration)
