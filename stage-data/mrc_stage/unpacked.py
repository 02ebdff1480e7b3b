"""``prepare --unpacked``: each file as an object of its own, for SageMaker and data repositories of FSx."""

import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mrc_cli import aws
from mrc_cli.errors import UserError
from mrc_cli.progress import progress
from mrc_cli.terminal import result, say

from mrc_stage import manifest, names, sources
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket

THREADS = 16
"""Requests in flight: one object takes a round trip, and hardly any CPU."""

MAX_BYTES = 5 << 30
"""Of an object that is sent in one request, S3's limit."""


def prepare(bucket: Bucket, root: Path, dry_run: bool) -> None:
    """Put the files of a directory into the bucket under their names; those that are there are not sent.

    An object is the same if size and MD5 are. With a key of KMS the MD5 is not known, and all files
    are sent. With ``dry_run`` only says what would be sent.

    Raises:
        UserError: when the bucket has archives there, or a file cannot be one object.
        WrongData: when names cannot be staged.
        ServiceError: when S3 cannot be reached or denies it.
    """
    top = (entry for entry in root.iterdir() if not entry.name.startswith("."))
    files = sorted(path for entry in top for path in sources.files_below(entry))
    keys = [path.relative_to(root).as_posix() for path in files]
    if wrong := list(names.problems(keys)):
        raise WrongData(f"{root}: names that cannot be staged: {'; '.join(wrong[:10])}.")
    if large := [path for path in files if path.stat().st_size > MAX_BYTES]:
        raise UserError(f"{large[0]}: more than 5 GiB cannot be sent as one object. Leave out --unpacked.")
    present = dict(bucket.objects())
    if manifest.KEY in present:
        raise UserError(f"{bucket.where}: has archives and their manifest. Name another prefix.")
    missing = [
        (path, key)
        for path, key in zip(files, keys, strict=True)
        if key not in present
        or present[key].size != path.stat().st_size
        or present[key].etag.strip('"') != _md5(path)
    ]
    size = sum(path.stat().st_size for path, _ in missing)
    if dry_run:
        result(f"{bucket.where}: {len(missing)} of {len(files)} objects to be sent, {size / 1e6:,.0f} MB")
        return
    _send(bucket, missing)
    say(f"{bucket.where}: {len(files)} objects, {len(missing)} of them sent")


def _send(bucket: Bucket, missing: Sequence[tuple[Path, str]]) -> None:
    def one(file: tuple[Path, str]) -> None:
        path, key = file
        with path.open("rb") as body, aws.calling(f"s3:PutObject to {bucket.where}{key}"):
            bucket.client.put_object(
                Bucket=bucket.where.bucket,
                Key=bucket.where.prefix + key,
                Body=body,
                ChecksumAlgorithm="SHA256",
            )

    with (
        progress("uploading", len(missing), "objects") as advance,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        try:
            for _ in pool.map(one, missing):
                advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _md5(path: Path) -> str:
    """What S3 calls an object that was sent in one request, unless a key of KMS encrypts it."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
