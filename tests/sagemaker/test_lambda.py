"""The Lambda function: S3 in moto, the endpoint in the stand-in, and the real inference server behind it."""

import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from aws_in_moto import empty_aws
from sagemaker_tool import run
from standin import SageMaker, serving


@pytest.fixture(scope="module")
def endpoints(
    tmp_path_factory: pytest.TempPathFactory, served: tuple[str, int], tiny_scenes: Path
) -> Iterator[tuple[SageMaker, dict[str, str]]]:
    """The stand-in with the endpoint maskrcnn, and the environment of its clients."""
    service = SageMaker(tmp_path_factory.mktemp("jobs"), tiny_scenes)
    service.server = served
    role = "arn:aws:iam::123456789012:role/SageMakerTraining"
    service.answer("CreateModel", {"ModelName": "m", "ExecutionRoleArn": role})
    variant = {"VariantName": "a", "ModelName": "m", "InstanceType": "ml.m5.large", "InitialInstanceCount": 1}
    service.answer("CreateEndpointConfig", {"EndpointConfigName": "c", "ProductionVariants": [variant]})
    service.answer("CreateEndpoint", {"EndpointName": "maskrcnn", "EndpointConfigName": "c"})
    with empty_aws() as environment, serving(service) as url:
        yield service, {**environment, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url}


@pytest.fixture
def handler(endpoints: tuple[SageMaker, dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    for name, value in {**endpoints[1], "ENDPOINT": "maskrcnn", "OUTPUT_BUCKET": "detections"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("ASYNC_ENDPOINT", raising=False)
    s3 = boto3.client("s3")
    for bucket in ("images", "detections"):
        where: Any = {"LocationConstraint": "us-west-2"}
        if bucket not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]:
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    return importlib.reload(importlib.import_module("mrc_sagemaker.lambda_handler"))


def put(key: str, body: bytes) -> dict[str, Any]:
    """Store an object; the event that S3 sends for it."""
    etag = boto3.client("s3").put_object(Bucket="images", Key=key, Body=body)["ETag"].strip('"')
    about = {"key": quote_plus(key, safe="/"), "size": len(body), "eTag": etag}
    return {"Records": [{"s3": {"bucket": {"name": "images"}, "object": about}}]}


def stored(key: str) -> Any:
    return json.loads(boto3.client("s3").get_object(Bucket="detections", Key=key)["Body"].read())


@pytest.fixture
def image(tiny_scenes: Path) -> bytes:
    return next(iter(sorted((tiny_scenes / "val2017").iterdir()))).read_bytes()


@pytest.mark.parametrize("key", ["a.jpg", "two words.jpg", "one+one.jpg", "für/große.JPG"])
def test_an_image_gets_its_detections(handler: ModuleType, image: bytes, key: str) -> None:
    """boto3 1204: keys in events are encoded, spaces as plus signs."""
    assert handler.handle(put(key, image), None) == {"results": [{"key": key, "status": "answered"}]}
    assert "detections" in stored(f"{key}.json")


def test_an_event_that_comes_twice_is_answered_once(handler: ModuleType, image: bytes) -> None:
    event = put("twice.jpg", image)
    handler.handle(event, None)
    assert handler.handle(event, None)["results"][0]["status"] == "answered before"
    assert handler.handle(put("twice.jpg", image + b"\0"), None)["results"][0]["status"] == "answered"


def test_the_event_of_a_new_notification_is_ignored(handler: ModuleType) -> None:
    assert handler.handle({"Event": "s3:TestEvent", "Bucket": "images"}, None) == {"results": []}


def test_an_image_that_cannot_be_read_gets_a_reason(handler: ModuleType) -> None:
    result = handler.handle(put("bad.jpg", b"no image"), None)["results"][0]
    assert result["status"] == "failed"
    assert stored("bad.jpg.failed.json") == {"key": "bad.jpg", "reason": result["reason"]}


def test_other_files_get_a_reason_without_a_request(handler: ModuleType) -> None:
    assert handler.handle(put("notes.txt", b"x"), None)["results"][0]["status"] == "failed"


def test_an_image_over_the_limit_gets_a_reason(handler: ModuleType) -> None:
    event = put("large.jpg", b"x")
    event["Records"][0]["s3"]["object"]["size"] = 6291457
    handler.handle(event, None)
    assert stored("large.jpg.failed.json")["reason"] == "6291457 bytes, the endpoint takes 6291456"


def test_a_server_that_is_down_is_tried_again(
    handler: ModuleType, image: bytes, endpoints: tuple[SageMaker, dict[str, str]]
) -> None:
    service, server = endpoints[0], endpoints[0].server
    service.server = ("127.0.0.1", 9)
    try:
        with pytest.raises(handler.ClientError, match="Received server error"):
            handler.handle(put("down.jpg", image), None)
    finally:
        service.server = server


def test_one_bucket_for_both_is_rejected(handler: ModuleType, image: bytes, monkeypatch: Any) -> None:
    monkeypatch.setenv("OUTPUT_BUCKET", "images")
    with pytest.raises(ValueError, match="the function would start itself"):
        handler.handle(put("a.jpg", image), None)
    done = run(
        *("lambda", "detect", "--endpoint", "maskrcnn", "--role", "arn:aws:iam::123456789012:role/Detect"),
        *("--input-bucket", "images", "--output-bucket", "images"),
    )
    assert done.returncode == 2
    assert "--output-bucket is the input bucket images" in done.stderr


def test_the_command_invokes_an_endpoint(
    endpoints: tuple[SageMaker, dict[str, str]], tiny_scenes: Path
) -> None:
    image = next(iter(sorted((tiny_scenes / "val2017").iterdir())))
    done = run("invoke", "maskrcnn", image, **endpoints[1])
    assert done.returncode == 0, done.stderr
    assert "detections" in json.loads(done.stdout)


def test_the_local_server_answers_like_the_endpoint(served: tuple[str, int], tiny_scenes: Path) -> None:
    image = next(iter(sorted((tiny_scenes / "val2017").iterdir())))
    done = run("local", "predict", image, "--port", str(served[1]))
    assert done.returncode == 0, done.stderr
    assert "detections" in json.loads(done.stdout)


def test_what_the_local_server_rejects_is_one_line(served: tuple[str, int], tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"no image")
    done = run("local", "predict", bad, "--port", str(served[1]))
    assert done.returncode == 1
    assert done.stderr.startswith(f"mrc-sagemaker: {bad}: the server answers 4")
    assert done.stderr.count("\n") == 1
