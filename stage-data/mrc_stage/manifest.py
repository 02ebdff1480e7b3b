"""manifest.json: what ``prepare`` put into a bucket. It is written last: where it is, everything is."""

import json
from typing import Any

from mrc_cli import aws
from pydantic import BaseModel, ConfigDict, ValidationError

from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket, Version

KEY = "manifest.json"
MAX_BYTES = 16 << 20


class Entry(BaseModel):
    """One object: a zip archive, or a single file that is staged under ``key``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    source: str
    size: int
    sha256: str
    etag: str
    archive: bool
    directory: str = ""
    """Digest of the archive's central directory."""


class Manifest(BaseModel):
    """All objects of one data set."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    entries: list[Entry]


def read(bucket: Bucket) -> Manifest | None:
    """The manifest, or None when the bucket has none.

    Raises:
        WrongData: when it cannot be used.
    """
    version = bucket.find(KEY)
    if version is None:
        return None
    if version.size > MAX_BYTES:
        raise WrongData(
            f"{bucket.where}{KEY}: {version.size} bytes are no manifest. Prepare the bucket again."
        )
    try:
        text = bucket.read(KEY, version, 0, version.size)
        content: Any = json.loads(text)
        if not isinstance(content, dict) or content.get("format") != 1:
            raise WrongData(
                f"{bucket.where}{KEY}: not in format 1. Prepare the bucket again by this mrc-stage."
            )
        return Manifest.model_validate(content)
    except (ValueError, ValidationError) as error:
        first = str(error).splitlines()[0]
        raise WrongData(f"{bucket.where}{KEY}: {first}. Prepare the bucket again.") from None


def write(bucket: Bucket, manifest: Manifest) -> None:
    """Replace the manifest."""
    with aws.calling(f"s3:PutObject to {bucket.where}"):
        bucket.client.put_object(
            Bucket=bucket.where.bucket,
            Key=bucket.where.prefix + KEY,
            Body=manifest.model_dump_json(indent=2).encode(),
            ContentType="application/json",
        )


def current_version(bucket: Bucket, entry: Entry) -> Version:
    """The version of an entry's object.

    Raises:
        WrongData: when the object is missing or is not the one of the manifest.
    """
    version = bucket.find(entry.key)
    if version is None:
        raise WrongData(
            f"{bucket.where}{entry.key} is in the manifest, but not found. Prepare the bucket again."
        )
    if version != Version(entry.size, entry.etag):
        raise WrongData(
            f"{bucket.where}{entry.key} is not what the manifest says: {version.size} bytes with ETag "
            f"{version.etag} instead of {entry.size} with {entry.etag}. Prepare the bucket again."
        )
    return version
