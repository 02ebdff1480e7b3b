"""Objects of a bucket, read in ranges that survive cut connections and busy servers."""

import random
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from mrc_cli import aws
from mrc_cli.errors import ServiceError, UsageError, UserError

READ_ATTEMPTS = 8
"""Of one range. botocore retries a rejected request by itself, but not a body that breaks off."""

LONGEST_PAUSE = 20.0
"""Seconds between two attempts."""

_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}
_CHANGED = {"412", "PreconditionFailed"}


@dataclass(frozen=True)
class Location:
    """A bucket and a prefix of keys, which is empty or ends with a slash."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}"


def location(url: str) -> Location:
    """The location that a URL such as ``s3://bucket/data`` names.

    Raises:
        UsageError: when it is no such URL.
    """
    scheme, _, rest = url.partition("://")
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise UsageError(f"{url}: not a place in S3. Write it as s3://BUCKET or s3://BUCKET/PREFIX.")
    prefix = prefix.strip("/")
    return Location(bucket, f"{prefix}/" if prefix else "")


@dataclass(frozen=True)
class Version:
    """The size in bytes and the entity tag of an object as it was found."""

    size: int
    etag: str


class Bucket:
    """The objects under a location. Keys are relative to its prefix. Usable by several threads."""

    def __init__(self, where: Location) -> None:
        self.where = where
        self.client: Any = aws.client("s3")

    def find(self, key: str) -> Version | None:
        """The current version of an object, or None when there is none.

        Raises:
            ServiceError: when AWS cannot be reached or denies it.
        """
        from botocore.exceptions import ClientError

        with aws.calling(f"s3:GetObject of {self.where}{key}"):
            try:
                head = self.client.head_object(Bucket=self.where.bucket, Key=self.where.prefix + key)
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_FOUND:
                    return None
                raise
        return Version(head["ContentLength"], head["ETag"])

    def read(self, key: str, version: Version, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive) of this version of an object.

        Raises:
            UserError: when the object is no longer this version.
            ServiceError: when AWS cannot be reached, denies it, or breaks off every attempt.
        """
        from botocore.exceptions import ClientError, HTTPClientError

        if start >= end:
            return b""
        said = ""
        for attempt in range(READ_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.2 * 2**attempt))  # noqa: S311
            with aws.calling(f"s3:GetObject of {self.where}{key}"):
                try:
                    body = self._get(key, version, start, end)
                except ClientError as error:
                    if error.response["Error"]["Code"] in _CHANGED:
                        raise UserError(f"{self.where}{key} was replaced meanwhile. Run again.") from None
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                        raise
                    said = error.response["Error"]["Code"]
                    continue
                except HTTPClientError as error:
                    said = " ".join(str(error).split())
                    continue
            if len(body) == end - start:
                return body
            said = f"{len(body)} of {end - start} bytes came"
        raise ServiceError(
            f"{self.where}{key}: bytes {start} to {end} could not be read in {READ_ATTEMPTS} attempts "
            f"({said}). Run again; what is complete is kept."
        )

    def _get(self, key: str, version: Version, start: int, end: int) -> bytes:
        response = self.client.get_object(
            Bucket=self.where.bucket,
            Key=self.where.prefix + key,
            Range=f"bytes={start}-{end - 1}",
            IfMatch=version.etag,
        )
        # Not `with body`: that is the connection under it, without botocore's checks and errors.
        with closing(response["Body"]) as body:
            read: bytes = body.read()
        return read
