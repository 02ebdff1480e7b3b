"""``mrc-sagemaker lambda``: function, permission and notification, in moto."""

import json
from collections.abc import Iterator

import boto3
import pytest
from aws_in_moto import empty_aws
from sagemaker_tool import run

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    with empty_aws() as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield variables


def test_the_function_is_created_once_and_keeps_other_notifications(environment: dict[str, str]) -> None:
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    queue = boto3.client("sqs").create_queue(QueueName="other")["QueueUrl"].rpartition("/")[2]
    other = {"QueueArn": f"arn:aws:sqs:us-west-2:123456789012:{queue}", "Events": ["s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="images", NotificationConfiguration={"QueueConfigurations": [other]}
    )
    made = boto3.client("iam").create_role(RoleName="Detect", AssumeRolePolicyDocument=json.dumps(TRUST))
    where = ("--endpoint", "maskrcnn", "--input-bucket", "images", "--output-bucket", "detections")
    for message in ("created function detect", "updated function detect"):
        done = run("lambda", "detect", *where, "--role", made["Role"]["Arn"], **environment)
        assert done.returncode == 0, done.stderr
        assert message in done.stderr
    function = boto3.client("lambda").get_function(FunctionName="detect")["Configuration"]
    assert (function["Runtime"], function["Handler"]) == ("python3.13", "handler.handle")
    assert function["Environment"]["Variables"] == {"ENDPOINT": "maskrcnn", "OUTPUT_BUCKET": "detections"}
    notifications = s3.get_bucket_notification_configuration(Bucket="images")
    (ours,) = notifications["LambdaFunctionConfigurations"]
    assert ours["LambdaFunctionArn"] == function["FunctionArn"]
    assert len(notifications["QueueConfigurations"]) == 1
