"""Checks whether the file system of runs has locks, which keep two jobs out of one run directory."""

from collections.abc import Iterator

from mrc_values.cluster.objects import Object, items, text
from mrc_values.cluster.preflight.planned import Problem

LUSTRE = "fsx.csi.aws.com"


def locks_work(volume: Object, claim: str, setting: str) -> Iterator[Problem]:
    """``volume`` is the spec of a PersistentVolume, or has a class's driver and options in its place.

    Lustre has no locks without ``flock``, and with ``localflock`` only within a node (mount.lustre(8)); NFS
    has only those with ``nolock`` (nfs(5)).
    """
    given = [option.strip() for item in items(volume, "mountOptions") for option in str(item).split(",")]
    if text(volume, "csi", "driver") == LUSTRE:
        fix = "" if "flock" in given else "Add flock"
    else:
        fix = "Remove nolock" if "nolock" in given else ""
    if fix:
        options = f"mountOptions: {', '.join(given) or 'none'}"
        message = f"the volume of the claim {claim} has no locks between nodes ({options})."
        yield Problem("MRC114", setting, message, f"{fix} (docs/claims.md).")
