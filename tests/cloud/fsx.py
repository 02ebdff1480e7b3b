"""The part of FSx's API that Terraform uses for a Lustre file system, which MiniStack 1.5 lacks."""

import time
import uuid
from typing import Any

TARGET = "AWSSimbaAPIService_v20180301."
"""Start of the header X-Amz-Target; the name of the operation follows."""

Answer = tuple[int, dict[str, Any]]

_file_systems: dict[str, dict[str, Any]] = {}


def answer(operation: str, body: dict[str, Any]) -> Answer:
    """Status and body of the response; file systems are available at once, and gone at once."""
    if operation == "CreateFileSystem":
        return 200, {"FileSystem": _created(body)}
    if operation == "DescribeFileSystems":
        wanted = body.get("FileSystemIds") or list(_file_systems)
        unknown = [name for name in wanted if name not in _file_systems]
        return (
            _not_found(unknown[0])
            if unknown
            else (200, {"FileSystems": [_file_systems[name] for name in wanted]})
        )
    if operation == "DeleteFileSystem":
        name = body["FileSystemId"]
        gone = _file_systems.pop(name, None)
        return (200, {"FileSystemId": name, "Lifecycle": "DELETING"}) if gone else _not_found(name)
    if operation == "ListTagsForResource":
        name = body["ResourceARN"].rpartition("/")[2]
        return (200, {"Tags": _file_systems[name]["Tags"]}) if name in _file_systems else _not_found(name)
    return 400, {"__type": "UnsupportedOperation", "Message": f"{operation}: not in this stand-in"}


def _created(body: dict[str, Any]) -> dict[str, Any]:
    name = f"fs-{uuid.uuid4().hex[:17]}"
    given = ("FileSystemType", "FileSystemTypeVersion", "StorageCapacity", "SubnetIds", "KmsKeyId", "Tags")
    _file_systems[name] = {key: body[key] for key in given} | {
        "FileSystemId": name,
        "OwnerId": "000000000000",
        "ResourceARN": f"arn:aws:fsx:us-west-2:000000000000:file-system/{name}",
        "CreationTime": time.time(),
        "Lifecycle": "AVAILABLE",
        "StorageType": "SSD",
        "VpcId": "vpc-00000000",
        "NetworkInterfaceIds": [],
        "DNSName": f"{name}.fsx.us-west-2.amazonaws.com",
        "LustreConfiguration": body["LustreConfiguration"] | {"MountName": "abcdefgh"},
    }
    return _file_systems[name]


def _not_found(name: str) -> Answer:
    return 400, {"__type": "FileSystemNotFound", "Message": f"{name}: not found"}
