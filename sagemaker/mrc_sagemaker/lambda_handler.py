"""AWS Lambda function: detect in images that arrive in S3 with an endpoint on SageMaker.

For each object, the detections are stored as ``<key>.json`` in the bucket OUTPUT_BUCKET. An object that can
never be answered gets ``<key>.failed.json`` with the reason; for what may pass, the function raises, so that
Lambda tries again. An event that arrives twice is answered once. Needs nothing but boto3, which Lambda has.

Environment:
    ENDPOINT: name of the endpoint on SageMaker.
    OUTPUT_BUCKET: not the bucket of the images, or the function would start itself.
    ASYNC_ENDPOINT: name of an asynchronous endpoint for images of more than 6 MiB; optional.
"""

import json
import os
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote_plus

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

MAX_BODY = 6_291_456
"""Bytes that a synchronous endpoint takes."""

MAX_ASYNC_BODY = 1 << 30
"""Bytes that an asynchronous endpoint takes."""

TYPES = {".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".png": "image/png"}

s3 = boto3.client("s3")
# An endpoint answers within 60 seconds. Lambda tries again itself.
runtime = boto3.client(
    "sagemaker-runtime", config=Config(connect_timeout=5, read_timeout=70, retries={"max_attempts": 2})
)


def handle(event: dict[str, Any], context: object) -> dict[str, Any]:
    """Lambda's entry: answer each object of an S3 event."""
    if event.get("Event") == "s3:TestEvent":  # sent once, when the notification is set up
        return {"results": []}
    return {"results": [answer(record["s3"]) for record in event["Records"]]}


def answer(record: dict[str, Any]) -> dict[str, str]:
    """Detect in one object; what was done, for the log."""
    output = os.environ["OUTPUT_BUCKET"]
    bucket, source = record["bucket"]["name"], record["object"]
    if bucket == output:
        raise ValueError(f"{output} is the bucket of the images as well: the function would start itself")
    key = unquote_plus(source["key"])
    etag, size = source.get("eTag", ""), source.get("size", 0)
    if is_answered(output, key, etag):
        return {"key": key, "status": "answered before"}
    kind = TYPES.get(PurePosixPath(key).suffix.lower())
    if kind is None:
        return fail(output, key, etag, f"not a JPEG or PNG: {', '.join(TYPES)} are answered")
    if size > MAX_BODY:
        return answer_later(bucket, output, key, etag, size, kind)
    body = s3.get_object(Bucket=bucket, Key=key)["Body"].read()
    try:
        reply = runtime.invoke_endpoint(
            EndpointName=os.environ["ENDPOINT"], ContentType=kind, Accept="application/json", Body=body
        )
    except ClientError as error:
        # The model's own 4xx says that this image can never be answered.
        if 400 <= error.response.get("OriginalStatusCode", 0) < 500:
            return fail(output, key, etag, error.response.get("OriginalMessage", "rejected by the model"))
        raise
    store(output, f"{key}.json", reply["Body"].read(), etag)
    return {"key": key, "status": "answered"}


def answer_later(bucket: str, output: str, key: str, etag: str, size: int, kind: str) -> dict[str, str]:
    """Hand an image that is too large to the asynchronous endpoint, which stores its answer itself."""
    endpoint = os.environ.get("ASYNC_ENDPOINT", "")
    if not endpoint or size > MAX_ASYNC_BODY:
        limit = MAX_ASYNC_BODY if endpoint else MAX_BODY
        return fail(output, key, etag, f"{size} bytes, the endpoint takes {limit}")
    reply = runtime.invoke_endpoint_async(
        EndpointName=endpoint,
        ContentType=kind,
        Accept="application/json",
        InputLocation=f"s3://{bucket}/{key}",
    )
    store(output, f"{key}.json", json.dumps({"answer": reply["OutputLocation"]}).encode(), etag)
    return {"key": key, "status": "handed to the asynchronous endpoint"}


def is_answered(output: str, key: str, etag: str) -> bool:
    """Whether the answer to this very content exists: S3 may send an event more than once."""
    try:
        head = s3.head_object(Bucket=output, Key=f"{key}.json")
    except ClientError as error:
        if error.response["Error"]["Code"] in ("404", "NoSuchKey"):
            return False
        raise
    return bool(etag) and head["Metadata"].get("source-etag") == etag


def fail(output: str, key: str, etag: str, reason: str) -> dict[str, str]:
    """Store why an object has no detections."""
    store(output, f"{key}.failed.json", json.dumps({"key": key, "reason": reason}).encode(), etag)
    return {"key": key, "status": "failed", "reason": reason}


def store(output: str, key: str, body: bytes, etag: str) -> None:
    """Put a JSON object, marked with the content that it answers."""
    s3.put_object(
        Bucket=output, Key=key, Body=body, ContentType="application/json", Metadata={"source-etag": etag}
    )
