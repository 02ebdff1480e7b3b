"""What has to be staged: every range of every object, numbered the same for all shards."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from mrc_stage import archive, manifest, names
from mrc_stage.archive import Member
from mrc_stage.errors import WrongData
from mrc_stage.objects import Bucket, Version
from mrc_stage.uploading import NOTE

SHOWN = 10
"""Findings of one kind that are listed before the rest is only counted."""


class Range(NamedTuple):
    """Members of one object that are fetched by one read, or one member that takes several."""

    number: int
    key: str
    version: Version
    members: Sequence[Member]

    @property
    def is_large(self) -> bool:
        return archive.is_large(self.members)


class Plan(NamedTuple):
    """All ranges. ``digest`` binds a journal to these archives and this division into ranges."""

    ranges: Sequence[Range]
    directories: frozenset[str]
    digest: str
    archives: dict[str, str]

    @property
    def files(self) -> int:
        return sum(len(part.members) for part in self.ranges)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(member.size for part in self.ranges for member in part.members)


def make(bucket: Bucket) -> Plan:
    """The plan for a bucket that ``prepare`` filled, or for one whose objects are the files themselves.

    Raises:
        WrongData: when there is nothing, an object differs from the manifest, or names cannot be staged.
    """
    stored = manifest.read(bucket)
    if stored is None:
        return _of_loose_objects(bucket)
    digest = hashlib.sha256(f"1 {archive.RANGE_BYTES}".encode())
    parts: list[Range] = []
    directories: set[str] = set()
    for entry in stored.entries:
        version = manifest.current_version(bucket, entry)
        digest.update(f"\0{entry.key}\0{version.etag}\0{version.size}\0{entry.directory}".encode())
        if not entry.archive:
            parts.append(
                Range(len(parts), entry.key, version, [archive.single(entry.key, entry.size, entry.sha256)])
            )
            continue
        read = archive.read_directory(bucket.ranged(entry.key, version))
        if read.digest != entry.directory:
            raise WrongData(
                f"{bucket.where}{entry.key}: its directory has another digest than in the manifest."
            )
        directories.update(name.rstrip("/") for name in read.directories)
        for group in archive.ranges(read.members):
            parts.append(Range(len(parts), entry.key, version, group))
    return _checked(bucket, parts, directories, digest.hexdigest(), {e.key: e.sha256 for e in stored.entries})


def _of_loose_objects(bucket: Bucket) -> Plan:
    digest = hashlib.sha256(b"loose")
    parts: list[Range] = []
    directories: set[str] = set()
    for key, version in bucket.objects():
        if key.startswith(NOTE):
            raise WrongData(f"{bucket.where}: mrc-stage prepare has not finished. Run it again first.")
        digest.update(f"\0{key}\0{version.etag}\0{version.size}".encode())
        if key.endswith("/") and not version.size:
            directories.add(key.rstrip("/"))
        else:
            parts.append(Range(len(parts), key, version, [archive.single(key, version.size)]))
    if not parts:
        raise WrongData(
            f"{bucket.where}: no {manifest.KEY} and no objects. Run mrc-stage prepare {bucket.where} first."
        )
    return _checked(bucket, parts, directories, digest.hexdigest(), {})


def _checked(
    bucket: Bucket, parts: Sequence[Range], directories: set[str], digest: str, archives: dict[str, str]
) -> Plan:
    everything = [member.name for part in parts for member in part.members]
    wrong = list(names.problems(everything))
    wrong += [line for line in names.problems(directories) if "differ only" not in line]
    if wrong:
        more = f" and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise WrongData(
            f"{bucket.where}: names that cannot be staged: {'; '.join(wrong[:SHOWN])}{more}. "
            "Nothing was written."
        )
    directories = directories | {name.rpartition("/")[0] for name in everything}
    return Plan(parts, frozenset(directories - {""}), digest, archives)
