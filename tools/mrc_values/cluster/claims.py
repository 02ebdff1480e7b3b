"""Why a pod's claim is not bound, from the claim and its events."""

import re
from collections.abc import Sequence

from mrc_values.cluster.objects import Object, items, name, text
from mrc_values.cluster.scheduling import Cause

_EVENTS = (
    (
        r"incompatible accessMode",
        "claim-access-mode",
        "the claim {claim} requests an access mode that its volume does not have",
        "Give both the access mode ReadWriteMany (docs/claims.md).",
    ),
    (
        r"storageclass\.storage\.k8s\.io \"(?P<what>[^\"]+)\" not found",
        "storage-class-missing",
        "the claim {claim} names the storage class {what}, which does not exist",
        "Create the class, or use one that `kubectl get storageclass` lists.",
    ),
    (
        r"external provisioner '(?P<what>[^']+)'",
        "claim-provisioner",
        "the claim {claim} waits for the storage driver {what} to create its volume",
        "Check that the driver is installed, and read its controller's log.",
    ),
    (
        r"already bound to a different claim",
        "claim-volume-taken",
        "the volume of the claim {claim} belongs to another claim",
        "Create a separate volume for it (docs/claims.md).",
    ),
    (
        r"volume \"(?P<what>[^\"]+)\" not found|persistentvolume \"(?P<other>[^\"]+)\" not found",
        "claim-no-volume",
        "the volume of the claim {claim} does not exist",
        "Create it (docs/claims.md).",
    ),
    (
        r"no persistent volumes available",
        "claim-no-volume",
        "there is no volume for the claim {claim}, and it names no storage class that would create one",
        "Create the volume, or name the storage class (docs/claims.md).",
    ),
)


def of_pod(pod: Object) -> list[str]:
    """The names of the claims that a pod mounts."""
    volumes = items(pod, "spec", "volumes")
    return [claim for item in volumes if (claim := text(item, "persistentVolumeClaim", "claimName"))]


def explain(pod: Object, claims: Sequence[Object], events: Sequence[Object]) -> Cause | None:
    """Why the first unbound claim of a pod is not bound; None when all existing claims are bound."""
    wanted = of_pod(pod)
    for claim in claims:
        if name(claim) not in wanted:
            continue
        if text(claim, "status", "phase") == "Lost":
            return Cause(
                "claim-lost",
                f"the claim {name(claim)} has lost its volume {text(claim, 'spec', 'volumeName')}",
                "Delete the claim and create it again with its volume (docs/claims.md); the data is kept.",
            )
        if text(claim, "status", "phase") == "Pending":
            return _pending(claim, events)
    return None


def _pending(claim: Object, events: Sequence[Object]) -> Cause:
    own = [item for item in events if text(item, "involvedObject", "uid") == text(claim, "metadata", "uid")]
    for event in reversed(own):
        for pattern, reason, sentence, fix in _EVENTS:
            if match := re.search(pattern, text(event, "message")):
                return Cause(reason, sentence.format(claim=name(claim), **match.groupdict()), fix)
    message = f": {text(own[-1], 'message').rstrip('.')}" if own else ""
    volume = text(claim, "spec", "volumeName")
    if not message and volume:
        return Cause(
            "claim-no-volume",
            f"the claim {name(claim)} waits for its volume {volume}",
            f"See kubectl get pv {volume}, and docs/claims.md.",
        )
    return Cause(
        "claim-unbound", f"the claim {name(claim)} is not bound to a volume{message}", "See docs/claims.md."
    )
