"""``mrc-sagemaker lambda``: function, permission and notification, in moto."""

import json

import boto3
import pytest
from moto.server import ThreadedMotoServer
from sagemaker_tool import run

TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def test_the_function_is_created_once_and_keeps_other_notifications(monkeypatch: pytest.MonkeyPatch) -> None:
    moto = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    aws = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-west-2",
    }
    for name, value in aws.items():
        monkeypatch.setenv(name, value)
    s3 = boto3.client("s3")
    s3.create_bucket(Bucket="images", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    queue = boto3.client("sqs").create_queue(QueueName="other")["QueueUrl"].rpartition("/")[2]
    other = {"QueueArn": f"arn:aws:sqs:us-west-2:123456789012:{queue}", "Events": ["s3:ObjectRemoved:*"]}
    s3.put_bucket_notification_configuration(
        Bucket="images", NotificationConfiguration={"QueueConfigurations": [other]}
    )
    made = boto3.client("iam").create_role(RoleName="Detect", AssumeRolePolicyDocument=json.dumps(TRUST))
    where = ("--endpoint", "maskrcnn", "--input-bucket", "images", "--output-bucket", "detections")
    for said in ("created function detect", "updated function detect"):
        done = run("lambda", "detect", *where, "--role", made["Role"]["Arn"], **aws)
        assert done.returncode == 0, done.stderr
        assert said in done.stderr
    found = boto3.client("lambda").get_function(FunctionName="detect")["Configuration"]
    assert (found["Runtime"], found["Handler"]) == ("python3.13", "handler.handle")
    assert found["Environment"]["Variables"] == {"ENDPOINT": "maskrcnn", "OUTPUT_BUCKET": "detections"}
    notifications = s3.get_bucket_notification_configuration(Bucket="images")
    (ours,) = notifications["LambdaFunctionConfigurations"]
    assert ours["LambdaFunctionArn"] == found["FunctionArn"]
    assert len(notifications["QueueConfigurations"]) == 1
    moto.stop()
