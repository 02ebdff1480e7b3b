"""The Lambda function: S3 in moto, the endpoint in the stand-in, and the real inference server behind it."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import lambda_emulator
import pytest
from aws_in_moto import empty_aws
from lambda_emulator import Emulator
from sagemaker_tool import run
from standin import SageMaker, serving
from testcluster.programs import build

Handler = Callable[[dict[str, Any], None], dict[str, Any]]

EVENTS = "events"
"""Queue that gets what S3 would send to the function."""

HERE, EMULATED = "in this process", "under AWS's emulator"


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
    for name in ("maskrcnn", "later"):
        service.answer("CreateEndpoint", {"EndpointName": name, "EndpointConfigName": "c"})
    with empty_aws() as environment, serving(service) as url:
        yield service, {**environment, "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": url}


@pytest.fixture(scope="module")
def functions(
    endpoints: tuple[SageMaker, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Handler]]:
    """The handler in this process, and under AWS's emulator where that can be built."""
    settings = {"ENDPOINT": "maskrcnn", "OUTPUT_BUCKET": "detections", "ASYNC_ENDPOINT": "later"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**endpoints[1], **settings}.items():
            patch.setenv(name, value)
        for bucket in ("images", "detections"):
            where: Any = {"LocationConstraint": "us-west-2"}
            boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        boto3.client("sqs").create_queue(QueueName=EVENTS)
        notify()
        take_events()
        here = importlib.reload(importlib.import_module("mrc_sagemaker.lambda_handler"))
        if lambda_emulator.unavailable():
            yield {HERE: here.handle}
            return
        directory = tmp_path_factory.mktemp("function")
        emulator = Emulator(build("lambda-emulator"), directory, {**endpoints[1], **settings})
        yield {HERE: here.handle, EMULATED: emulator.handle}
        emulator.stop()


@pytest.fixture(params=[HERE, EMULATED])
def handle(functions: dict[str, Handler], request: pytest.FixtureRequest) -> Handler:
    """What Lambda calls with an event."""
    if request.param not in functions:
        pytest.skip(lambda_emulator.unavailable())
    for item in boto3.client("s3").list_objects_v2(Bucket="detections").get("Contents", []):
        boto3.client("s3").delete_object(Bucket="detections", Key=item["Key"])
    return functions[request.param]


def notify() -> None:
    """Have S3 send events of new images, as `mrc-sagemaker lambda` does for the function."""
    arn = f"arn:aws:sqs:us-west-2:123456789012:{EVENTS}"
    configuration: Any = {"QueueConfigurations": [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]}
    boto3.client("s3").put_bucket_notification_configuration(
        Bucket="images", NotificationConfiguration=configuration
    )


def put(key: str, body: bytes) -> dict[str, Any]:
    """Store an object; the event that moto's S3 sends for it."""
    boto3.client("s3").put_object(Bucket="images", Key=key, Body=body)
    (event,) = take_events()
    return event


def take_events() -> list[dict[str, Any]]:
    """The events that S3 has sent since the last call."""
    sqs = boto3.client("sqs")
    queue = sqs.get_queue_url(QueueName=EVENTS)["QueueUrl"]
    messages = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=0)
    for message in messages.get("Messages", []):
        sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return [json.loads(message["Body"]) for message in messages.get("Messages", [])]


def stored(key: str) -> Any:
    return json.loads(boto3.client("s3").get_object(Bucket="detections", Key=key)["Body"].read())


@pytest.fixture
def image(tiny_scenes: Path) -> bytes:
    return next(iter(sorted((tiny_scenes / "val2017").iterdir()))).read_bytes()


@pytest.mark.parametrize("key", ["a.jpg", "two words.jpg", "one+one.jpg", "für/große.JPG"])
def test_an_image_gets_its_detections(handle: Handler, image: bytes, key: str) -> None:
    """boto3 1204: keys in events are encoded, spaces as plus signs."""
    assert handle(put(key, image), None) == {"results": [{"key": key, "status": "answered"}]}
    assert "detections" in stored(f"{key}.json")


def test_an_event_that_comes_twice_is_answered_once(handle: Handler, image: bytes) -> None:
    event = put("twice.jpg", image)
    handle(event, None)
    assert handle(event, None)["results"][0]["status"] == "answered before"
    assert handle(put("twice.jpg", image + b"\0"), None)["results"][0]["status"] == "answered"


def test_the_event_of_a_new_notification_is_ignored(handle: Handler) -> None:
    notify()
    (event,) = take_events()
    assert event["Event"] == "s3:TestEvent"
    assert handle(event, None) == {"results": []}


def test_an_image_that_cannot_be_read_gets_a_reason(handle: Handler) -> None:
    result = handle(put("bad.jpg", b"no image"), None)["results"][0]
    assert result["status"] == "failed"
    assert stored("bad.jpg.failed.json") == {"key": "bad.jpg", "reason": result["reason"]}


def test_other_files_get_a_reason_without_a_request(handle: Handler) -> None:
    assert handle(put("notes.txt", b"x"), None)["results"][0]["status"] == "failed"


def test_an_image_over_the_limit_goes_to_the_asynchronous_endpoint(handle: Handler, image: bytes) -> None:
    result = handle(put("large.jpg", image + bytes(6_291_456)), None)["results"][0]
    assert result["status"] == "handed to the asynchronous endpoint"
    bucket, _, key = stored("large.jpg.json")["answer"].removeprefix("s3://").partition("/")
    answer = boto3.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert "detections" in json.loads(answer)


def test_an_image_over_every_limit_gets_a_reason(handle: Handler) -> None:
    event = put("huge.jpg", b"x")
    event["Records"][0]["s3"]["object"]["size"] = (1 << 30) + 1
    handle(event, None)
    expected = "1073741825 bytes, the endpoint takes 1073741824"
    assert stored("huge.jpg.failed.json")["reason"] == expected


def test_a_server_that_is_down_is_tried_again(
    handle: Handler, image: bytes, endpoints: tuple[SageMaker, dict[str, str]]
) -> None:
    service, server = endpoints[0], endpoints[0].server
    service.server = ("127.0.0.1", 9)
    try:
        with pytest.raises(Exception, match="Received server error"):
            handle(put("down.jpg", image), None)
    finally:
        service.server = server


def test_one_bucket_for_both_is_rejected(handle: Handler) -> None:
    event = put("a.jpg", b"x")
    event["Records"][0]["s3"]["bucket"]["name"] = "detections"
    with pytest.raises(Exception, match="the function would start itself"):
        handle(event, None)


def test_the_command_rejects_one_bucket_for_both() -> None:
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
