"""Multipart uploads that continue where an earlier run was stopped."""

import hashlib
import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from mrc_cli import aws

from mrc_stage.objects import Bucket, Version

PART_BYTES = 16 << 20
MAX_PARTS = 10_000
"""Of one upload, S3's limit."""

UPLOADS = 4
"""Parts in flight, each in memory."""


def part_bytes(size: int) -> int:
    """The size of a part, so that an object of about this many bytes fits into one upload."""
    return max(PART_BYTES, -(-size // (MAX_PARTS - 100)))


class Upload(io.RawIOBase):
    """A file for writing, not seekable, whose bytes become an object at ``finish``.

    Parts that an unfinished upload of the same object already has are compared by MD5 and not sent again.
    """

    def __init__(self, bucket: Bucket, key: str, size: int) -> None:
        self._bucket, self._key = bucket, key
        self._part = part_bytes(size)
        self._buffer = bytearray()
        self._position = 0
        self._sha256 = hashlib.sha256()
        self._pool = ThreadPoolExecutor(UPLOADS)
        self._pending: deque[Future[dict[str, Any]]] = deque()
        self._parts: list[dict[str, Any]] = []
        self.sent_parts = 0
        with aws.calling(f"s3:PutObject to {bucket.where}{key}"):
            self._id, self._earlier = self._open()

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
        if self._buffer or not (self._pending or self._parts):
            self._submit(bytes(self._buffer))
        while self._pending:
            self._parts.append(self._pending.popleft().result())
        self._pool.shutdown()
        with aws.calling(f"s3:PutObject to {self._bucket.where}{self._key}"):
            done = self._bucket.client.complete_multipart_upload(
                **self._names(), UploadId=self._id, MultipartUpload={"Parts": self._parts}
            )
        return Version(self._position, done["ETag"]), self._sha256.hexdigest()

    def stop(self) -> None:
        """Leave the upload unfinished, for the next run to continue."""
        self._pool.shutdown(cancel_futures=True)

    def _names(self) -> dict[str, str]:
        return {"Bucket": self._bucket.where.bucket, "Key": self._bucket.where.prefix + self._key}

    def _open(self) -> tuple[str, dict[int, dict[str, Any]]]:
        """The newest unfinished upload with its parts, or a new one."""
        names = self._names()
        client = self._bucket.client
        listed = client.list_multipart_uploads(Bucket=names["Bucket"], Prefix=names["Key"]).get("Uploads", [])
        unfinished = [upload for upload in listed if upload["Key"] == names["Key"]]
        if not unfinished:
            return client.create_multipart_upload(**names, ChecksumAlgorithm="CRC32")["UploadId"], {}
        newest = max(unfinished, key=lambda upload: upload["Initiated"])["UploadId"]
        pages = client.get_paginator("list_parts").paginate(**names, UploadId=newest)
        return newest, {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}

    def _submit(self, data: bytes) -> None:
        number = len(self._parts) + len(self._pending) + 1
        self._pending.append(self._pool.submit(self._send, number, data))
        if len(self._pending) > UPLOADS:
            self._parts.append(self._pending.popleft().result())

    def _send(self, number: int, data: bytes) -> dict[str, Any]:
        part = self._earlier.get(number)
        if part is None or part["ETag"].strip('"') != hashlib.md5(data, usedforsecurity=False).hexdigest():
            with aws.calling(f"s3:PutObject to {self._bucket.where}{self._key}"):
                part = self._bucket.client.upload_part(
                    **self._names(),
                    UploadId=self._id,
                    PartNumber=number,
                    Body=data,
                    ChecksumAlgorithm="CRC32",
                )
            self.sent_parts += 1
        known = {"PartNumber": number, "ETag": part["ETag"]}
        return known | ({"ChecksumCRC32": part["ChecksumCRC32"]} if "ChecksumCRC32" in part else {})
