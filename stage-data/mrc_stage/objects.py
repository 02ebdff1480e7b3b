"""Objects of a bucket, read in ranges that survive cut connections and busy servers."""

import random
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from mrc_cli import aws
from mrc_cli.errors import ServiceError, UsageError, UserError

from mrc_stage import names
from mrc_stage.ranged_file import Ranged

READ_ATTEMPTS = 8
"""Of one range. botocore retries a rejected request by itself, but not a body that breaks off."""

LONGEST_PAUSE = 20.0
"""Seconds between two attempts."""

SECONDS_BETWEEN_RENEWALS = 60.0
"""Credentials that are rejected again within this time are gone for good."""

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_NOT_FOUND = {"404", "NoSuchKey", "NotFound"}
_DENIED = {"403", "AccessDenied", "Forbidden"}
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
    if reason := names.unlistable(url):
        raise UsageError(f"{url}: {reason}. Choose another prefix.")
    prefix = prefix.strip("/")
    return Location(bucket, f"{prefix}/" if prefix else "")


@dataclass(frozen=True)
class Version:
    """The size in bytes and the entity tag of an object as it was found."""

    size: int
    etag: str


@contextmanager
def reading(what: str, requester_pays: bool) -> Iterator[None]:
    """Turn errors of requests that read into a ServiceError that says what to do."""
    from botocore.exceptions import ClientError

    with aws.calling(what):
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            message = error.response["Error"].get("Message", "")
            if code in _DENIED and "kms" in message.lower():
                raise ServiceError(
                    f"{what}: encrypted by a key of KMS that may not be used. Allow kms:Decrypt in your "
                    f"policy and in the policy of the key. {message}"
                ) from None
            if code in _DENIED and not requester_pays:
                raise ServiceError(
                    f"{what}: AWS denies it. Add this action to your policy, or, if who reads this bucket "
                    f"has to pay, add --requester-pays. {message}".rstrip()
                ) from None
            if code == "NoSuchBucket":
                raise ServiceError(f"{what}: there is no such bucket. Check its name.") from None
            raise


class Bucket:
    """The objects under a location. Keys are relative to its prefix. Usable by several threads."""

    def __init__(self, where: Location, requester_pays: bool = False) -> None:
        self.where = where
        self.client: Any = aws.client("s3")
        self._requester_pays = requester_pays
        self._pays = {"RequestPayer": "requester"} if requester_pays else {}
        self._lock = threading.Lock()
        self._renewed = float("-inf")

    def find(self, key: str) -> Version | None:
        """The current version of an object, or None when there is none.

        Raises:
            ServiceError: when AWS cannot be reached or denies it.
        """
        head = self._head(key)
        return Version(head["ContentLength"], head["ETag"]) if head else None

    def metadata(self, key: str) -> dict[str, str]:
        """The metadata of an object, empty when there is none."""
        metadata: dict[str, str] = self._head(key).get("Metadata", {})
        return metadata

    def objects(self) -> Iterator[tuple[str, Version]]:
        """All objects under the location, in the order of their keys."""
        with reading(f"s3:ListBucket of {self.where}", self._requester_pays):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.where.bucket, Prefix=self.where.prefix, **self._pays
            )
            for page in pages:
                for item in page.get("Contents", []):
                    key = item["Key"].removeprefix(self.where.prefix)
                    yield key, Version(item["Size"], item["ETag"])

    def ranged(self, key: str, version: Version) -> Ranged:
        """This version of an object as what is read in ranges."""
        return Ranged(f"{self.where}{key}", version.size, partial(self.read, key, version))

    def read(self, key: str, version: Version, start: int, end: int) -> bytes:
        """Bytes ``start`` to ``end`` (exclusive) of this version of an object.

        Raises:
            UserError: when the object is no longer this version.
            ServiceError: when AWS cannot be reached, denies it, or breaks off every attempt.
        """
        from botocore.exceptions import ClientError, HTTPClientError

        if start >= end:
            return b""
        reason = ""
        for attempt in range(READ_ATTEMPTS):
            client = self.client
            if attempt:
                time.sleep(random.uniform(0.5, 1.0) * min(LONGEST_PAUSE, 0.2 * 2**attempt))  # noqa: S311
            with reading(f"s3:GetObject of {self.where}{key}", self._requester_pays):
                try:
                    body = self._get(client, key, version, start, end)
                except ClientError as error:
                    code = error.response["Error"]["Code"]
                    if code in _CHANGED:
                        raise UserError(f"{self.where}{key} was replaced meanwhile. Run again.") from None
                    if code in _EXPIRED and self._renew(client):
                        continue
                    if error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                        raise
                    reason = code
                    continue
                except HTTPClientError as error:
                    reason = " ".join(str(error).split())
                    continue
            if len(body) == end - start:
                return body
            reason = f"{len(body)} of {end - start} bytes came"
        raise ServiceError(
            f"{self.where}{key}: bytes {start} to {end} could not be read in {READ_ATTEMPTS} attempts "
            f"({reason}). Run again; what is complete is kept."
        )

    def _renew(self, failed: Any) -> bool:
        """Load the credentials again, such as a rotated token file. False if that was done just now."""
        with self._lock:
            if self.client is not failed:
                return True
            if time.monotonic() - self._renewed < SECONDS_BETWEEN_RENEWALS:
                return False
            self._renewed = time.monotonic()
            self.client = aws.client("s3")
            return True

    def _head(self, key: str) -> dict[str, Any]:
        """What S3 says about an object; empty when there is none."""
        from botocore.exceptions import ClientError

        with reading(f"s3:GetObject of {self.where}{key}", self._requester_pays):
            try:
                head: dict[str, Any] = self.client.head_object(
                    Bucket=self.where.bucket, Key=self.where.prefix + key, **self._pays
                )
            except ClientError as error:
                if error.response["Error"]["Code"] in _NOT_FOUND:
                    return {}
                raise
        return head

    def _get(self, client: Any, key: str, version: Version, start: int, end: int) -> bytes:
        response = client.get_object(
            Bucket=self.where.bucket,
            Key=self.where.prefix + key,
            Range=f"bytes={start}-{end - 1}",
            IfMatch=version.etag,
            **self._pays,
        )
        # Not `with body`: that is the connection under it, without botocore's checks and errors.
        with closing(response["Body"]) as body:
            read: bytes = body.read()
        return read
