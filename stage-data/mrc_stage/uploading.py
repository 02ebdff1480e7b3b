"""Multipart uploads that continue where an earlier run was stopped."""

import hashlib
import io
import json
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mrc_cli import aws

from mrc_stage.objects import Bucket, Version

PART_BYTES = 16 << 20
MAX_PARTS = 10_000
"""Of one upload, S3's limit."""

UPLOADS = 4
"""Parts in flight, each in memory."""

SOURCE = "mrc-source"
"""Metadata of an object: what it was made from."""

NOTE = ".mrc-upload/"
"""Prefix of a small object beside an unfinished upload. S3 does not say what an upload is made from."""


def metadata(source: str) -> str:
    """The value of SOURCE: S3's metadata is ASCII, as the names of most sources are."""
    return source if source.isascii() else ascii(source)


def part_bytes(size: int) -> int:
    """The size of a part, so that an object of about this many bytes fits into one upload."""
    return max(PART_BYTES, -(-size // (MAX_PARTS - 100)))


class Multipart:
    """The unfinished upload of an object from the same source, or a new one. Usable by several threads.

    Uploads from other sources are left alone, so that no object is made of two of them. Two runs with one
    source may share an upload: their parts are the same, and the second finds the object complete.
    """

    def __init__(self, bucket: Bucket, key: str, source: str) -> None:
        self._bucket = bucket
        self._what = f"s3:PutObject to {bucket.where}{key}"
        self._names = {"Bucket": bucket.where.bucket, "Key": bucket.where.prefix + key}
        self._note = f"{bucket.where.prefix}{NOTE}{key}.json"
        self._source = source = metadata(source)
        self._parts: dict[int, dict[str, Any]] = {}
        with aws.calling(self._what):
            self._id, self._earlier = self._open(source)

    def has(self, number: int, size: int) -> bool:
        """Whether an earlier run has sent this part, with this many bytes; if so, it is used."""
        part = self._earlier.get(number)
        if part is None or part["Size"] != size:
            return False
        self._parts[number] = part
        return True

    def send(self, number: int, data: bytes) -> None:
        """Send a part, unless an earlier run has sent the same bytes."""
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        if self.has(number, len(data)) and self._parts[number]["ETag"].strip('"') == md5:
            return
        with aws.calling(self._what):
            self._parts[number] = self._bucket.client.upload_part(
                **self._names, UploadId=self._id, PartNumber=number, Body=data, ChecksumAlgorithm="CRC32"
            )

    def complete(self, size: int) -> Version:
        """Make the object from all parts."""
        parts = [
            {"PartNumber": number} | {name: part[name] for name in ("ETag", "ChecksumCRC32") if name in part}
            for number, part in sorted(self._parts.items())
        ]
        with aws.calling(self._what):
            etag = self._completed(parts)
            self._bucket.client.delete_object(Bucket=self._names["Bucket"], Key=self._note)
        return Version(size, etag)

    def _completed(self, parts: list[dict[str, Any]]) -> str:
        """The ETag of the object, which another run with the same source may have completed before."""
        from botocore.exceptions import ClientError

        try:
            done = self._bucket.client.complete_multipart_upload(
                **self._names, UploadId=self._id, MultipartUpload={"Parts": parts}
            )
        except ClientError as error:
            if error.response["Error"]["Code"] != "NoSuchUpload":
                raise
            done = self._bucket.client.head_object(**self._names)
            if done["Metadata"].get(SOURCE) != self._source:
                raise
        return str(done["ETag"])

    def _open(self, source: str) -> tuple[str, dict[int, dict[str, Any]]]:
        client, key = self._bucket.client, self._names["Key"]
        listed = client.list_multipart_uploads(Bucket=self._names["Bucket"], Prefix=key).get("Uploads", [])
        unfinished = {upload["UploadId"] for upload in listed if upload["Key"] == key}
        noted = self._noted()
        if noted.get("source") != source or noted.get("upload") not in unfinished:
            made: str = client.create_multipart_upload(
                **self._names, ChecksumAlgorithm="CRC32", Metadata={SOURCE: source}
            )["UploadId"]
            note = json.dumps({"source": source, "upload": made}).encode()
            client.put_object(Bucket=self._names["Bucket"], Key=self._note, Body=note)
            return made, {}
        upload = noted["upload"]
        pages = client.get_paginator("list_parts").paginate(**self._names, UploadId=upload)
        return upload, {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}

    def _noted(self) -> dict[str, str]:
        from botocore.exceptions import ClientError

        try:
            body = self._bucket.client.get_object(Bucket=self._names["Bucket"], Key=self._note)["Body"]
            note = json.loads(body.read())
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                raise
            return {}
        except ValueError:
            return {}
        return note if isinstance(note, dict) else {}


def upload_ranges(
    bucket: Bucket,
    key: str,
    source: str,
    size: int,
    fetch: Callable[[int, int], bytes],
    advance: Callable[[int], None],
) -> Version:
    """Upload an object of a known size by ranges, several at a time. Ranges that were sent are not fetched.

    ``fetch`` returns bytes ``start`` to ``end`` (exclusive), from several threads.
    """
    multipart = Multipart(bucket, key, source)
    step = part_bytes(size)

    def one(start: int) -> None:
        end = min(size, start + step)
        if not multipart.has(start // step + 1, end - start):
            multipart.send(start // step + 1, fetch(start, end))
        advance(end - start)

    with ThreadPoolExecutor(UPLOADS) as pool:
        try:
            list(pool.map(one, range(0, size, step)))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return multipart.complete(size)


class Upload(io.RawIOBase):
    """A file for writing, not seekable, whose bytes become an object at ``finish``."""

    def __init__(self, bucket: Bucket, key: str, source: str, size: int) -> None:
        self._multipart = Multipart(bucket, key, source)
        self._part = part_bytes(size)
        self._buffer = bytearray()
        self._position = self._sent = 0
        self._sha256 = hashlib.sha256()
        self._pool = ThreadPoolExecutor(UPLOADS)
        self._pending: deque[Future[None]] = deque()

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._sha256.update(view)
        self._position += len(view)
        self._buffer += view
        while len(self._buffer) >= self._part:
            self._submit(bytes(self._buffer[: self._part]))
            del self._buffer[: self._part]
        return len(view)

    def finish(self) -> tuple[Version, str]:
        """Complete the upload: the object's version and the SHA-256 of everything that was written."""
        if self._buffer or not self._sent:
            self._submit(bytes(self._buffer))
        while self._pending:
            self._pending.popleft().result()
        return self._multipart.complete(self._position), self._sha256.hexdigest()

    def stop(self) -> None:
        """End the threads. An upload that is not finished stays, for the next run to continue."""
        self._pool.shutdown(cancel_futures=True)

    def _submit(self, data: bytes) -> None:
        self._sent += 1
        self._pending.append(self._pool.submit(self._multipart.send, self._sent, data))
        if len(self._pending) > UPLOADS:
            self._pending.popleft().result()
