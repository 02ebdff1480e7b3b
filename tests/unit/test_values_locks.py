"""Mount options of the volume that runs are stored on."""

from typing import Any

import pytest
from mrc_values.cluster.preflight.locks import locks_work

LUSTRE = "fsx.csi.aws.com"
EFS = "efs.csi.aws.com"


@pytest.mark.parametrize(
    ("driver", "options", "finding"),
    [
        (LUSTRE, None, "(mountOptions: none). Add flock (docs/claims.md)."),
        (LUSTRE, ["noatime,localflock"], "(mountOptions: noatime, localflock). Add flock (docs/claims.md)."),
        (LUSTRE, ["flock"], ""),
        (LUSTRE, ["noatime, flock"], ""),
        (EFS, ["tls", "nolock"], "(mountOptions: tls, nolock). Remove nolock (docs/claims.md)."),
        (EFS, None, ""),
        ("", ["hard"], ""),
    ],
)
def test_a_volume_without_locks_is_found_by_its_mount_options(
    driver: str, options: list[str] | None, finding: str
) -> None:
    volume: dict[str, Any] = {"csi": {"driver": driver}} if driver else {"nfs": {"server": "nas"}}
    if options is not None:
        volume["mountOptions"] = options
    messages = [
        f"{problem.message} {problem.fix}" for problem in locks_work(volume, "runs", "global.shared_fs")
    ]
    beginning = "the volume of the claim runs has no locks between nodes"
    assert messages == ([f"{beginning} {finding}"] if finding else [])
