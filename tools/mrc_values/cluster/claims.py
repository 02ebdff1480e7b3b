"""Why a claim of a pod is not bound, from the claim and its events."""

import re
from collections.abc import Sequence

from mrc_values.cluster.objects import Object, items, name, text
from mrc_values.cluster.scheduling import Cause

_EVENTS = (
    (
        r"incompatible accessMode",
        "claim-access-mode",
        "the claim {claim} asks for another access mode than its volume has",
        "Give both the access mode ReadWriteMany (docs/claims.md).",
    ),
    (
        r"storageclass\.storage\.k8s\.io \"(?P<what>[^\"]+)\" not found",
        "storage-class-missing",
        "the claim {claim} asks for the storage class {what}, which does not exist",
        "Create the class, or name one of `kubectl get storageclass`.",
    ),
    (
        r"external provisioner '(?P<what>[^']+)'",
        "claim-provisioner",
        "the claim {claim} waits for the storage driver {what} to make its volume",
        "See that the driver is installed and what its controller logs.",
    ),
    (
        r"already bound to a different claim",
        "claim-volume-taken",
        "the volume of the claim {claim} belongs to another claim",
        "Make a volume of its own for it (docs/claims.md).",
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
        "there is no volume for the claim {claim}, and it names no storage class that would make one",
        "Create the volume, or name the storage class (docs/claims.md).",
    ),
)


def of_pod(pod: Object) -> list[str]:
    """Names of the claims that a pod mounts."""
    volumes = items(pod, "spec", "volumes")
    return [found for each in volumes if (found := text(each, "persistentVolumeClaim", "claimName"))]


def explain(pod: Object, claims: Sequence[Object], events: Sequence[Object]) -> Cause | None:
    """The cause behind the first claim of a pod that is not bound; None when all are, or are not there."""
    wanted = of_pod(pod)
    for claim in claims:
        if name(claim) not in wanted:
            continue
        if text(claim, "status", "phase") == "Lost":
            return Cause(
                "claim-lost",
                f"the claim {name(claim)} has lost its volume {text(claim, 'spec', 'volumeName')}",
                "Delete the claim and create it again with its volume (docs/claims.md); the data stays.",
            )
        if text(claim, "status", "phase") == "Pending":
            return _pending(claim, events)
    return None


def _pending(claim: Object, events: Sequence[Object]) -> Cause:
    own = [each for each in events if text(each, "involvedObject", "uid") == text(claim, "metadata", "uid")]
    for event in reversed(own):
        for pattern, reason, sentence, fix in _EVENTS:
            if found := re.search(pattern, text(event, "message")):
                return Cause(reason, sentence.format(claim=name(claim), **found.groupdict()), fix)
    said = f": {text(own[-1], 'message').rstrip('.')}" if own else ""
    volume = text(claim, "spec", "volumeName")
    if not said and volume:
        return Cause(
            "claim-no-volume",
            f"the claim {name(claim)} waits for its volume {volume}",
            f"See kubectl get pv {volume}, and docs/claims.md.",
        )
    return Cause(
        "claim-unbound", f"the claim {name(claim)} is not bound to a volume{said}", "See docs/claims.md."
    )
