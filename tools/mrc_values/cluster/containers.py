"""Why a pod on a node is not running, or has ended, from its containers' status and events."""

import re

from mrc_values.cluster.objects import Object, at, condition, items, text
from mrc_values.cluster.scheduling import Cause

_PULLS = (
    (
        r"no match for platform|no matching manifest|exec format",
        "image-platform",
        "the image {image} was not built for the node's CPU architecture",
        "Build it for the nodes' platform (docker build --platform linux/amd64).",
    ),
    (
        r"no basic auth|unauthorized|authorization failed|denied|403 Forbidden|authentication required",
        "image-access",
        "the registry does not allow the node to pull the image {image}",
        "Check region and account in the ECR address, or use an image pull secret.",
    ),
    (
        r"not found|manifest unknown|name unknown|repository does not exist|404",
        "image-missing",
        "the image {image} does not exist",
        "Correct name and tag in maskrcnn.image (or jupyter.image, tensorboard.image).",
    ),
    (
        r"no such host|i/o timeout|connection refused|dial tcp|TLS handshake|deadline exceeded|EOF",
        "image-registry",
        "the node cannot reach the registry of the image {image}",
        "Check the address, and that the nodes have a route to it (NAT gateway or VPC endpoint).",
    ),
    (
        r"no space left|disk",
        "node-disk-full",
        "the node has no disk space for the image {image}",
        "Give the nodes larger disks.",
    ),
)

_WAITING = {
    "InvalidImageName": (
        "image-name",
        "{image} is not a valid image name",
        "Use the form <registry>/<name>:<tag>.",
    ),
    "ErrImageNeverPull": (
        "image-never-pulled",
        "the image {image} is not on the node, and image_pull_policy is Never",
        "Set maskrcnn.image_pull_policy to IfNotPresent or Always.",
    ),
    "CreateContainerConfigError": (
        "config-missing",
        "the container refers to something that does not exist: {message}",
        "Create it, or correct maskrcnn.env or the chart's secret names.",
    ),
    "CreateContainerError": (
        "container-error",
        "the container cannot be created: {message}",
        "Check that the image has the command (maskrcnn.image).",
    ),
    "RunContainerError": (
        "container-error",
        "the container cannot be started: {message}",
        "Check that the image has the command (maskrcnn.image).",
    ),
    "ContainerStatusUnknown": (
        "node-lost",
        "the state of the container is unknown",
        "See kubectl describe node.",
    ),
}

_EVENTS = (
    (
        r"FailedAttachVolume",
        r"Multi-Attach error for volume \"(?P<what>[^\"]+)\"",
        "claim-one-node",
        "the volume {what} is in use on another node, and its claim's access mode is ReadWriteOnce",
        "Use a claim with the access mode ReadWriteMany: EFS or FSx (docs/claims.md).",
    ),
    (
        r"FailedMount|FailedAttachVolume",
        r"driver name (?P<what>\S+) not found in the list of registered CSI drivers",
        "driver-missing",
        "the storage driver {what} is not running on the node",
        "Install it (the EKS add-on), and check that its pods run on these nodes.",
    ),
    (
        r"FailedMount",
        r"(?:secret|configmap) \"(?P<what>[^\"]+)\" not found",
        "config-missing",
        "the pod mounts {what}, which does not exist",
        "Create it, or correct the chart's secret names.",
    ),
    (
        r"FailedMount|FailedAttachVolume",
        r"(?P<what>.*)",
        "mount",
        "a volume cannot be mounted: {what}",
        "Check the file system's address, mount targets and security group (docs/claims.md).",
    ),
    (
        r"FailedCreatePodSandBox",
        r"failed to assign an IP address|no available IP",
        "no-address",
        "the node has no IP address left for the pod",
        "Use larger subnets, or prefix delegation of the VPC CNI.",
    ),
    (
        r"FailedCreatePodSandBox",
        r"(?P<what>.*)",
        "sandbox",
        "the node cannot set up the pod's network: {what}",
        "Check the CNI's pods on the node.",
    ),
)


def explain(pod: Object, events: list[Object]) -> Cause | None:
    """Why a pod on a node is not ready, or has failed; None when nothing is wrong."""
    if cause := _pod(pod):
        return cause
    for status in [
        *items(pod, "status", "initContainerStatuses"),
        *items(pod, "status", "containerStatuses"),
    ]:
        if cause := _container(status):
            return cause
    if text(pod, "status", "phase") == "Pending":
        return _event(events) or _starting(pod, events)
    if text(pod, "status", "phase") == "Running" and condition(pod, "Ready").get("status") == "False":
        return _not_ready(pod, events)
    return None


def ended(terminated: Object) -> Cause:
    """The cause of a container's end; ``terminated`` is from its status."""
    code, reason = terminated.get("exitCode", 0), terminated.get("reason", "")
    message = _short(terminated.get("message", ""))
    if reason == "OOMKilled":
        return Cause(
            "out-of-memory",
            "the container used more memory than its limit and was killed (OOMKilled, 137)",
            "Increase maskrcnn.memory (for the launcher: maskrcnn.launcher.resources), or reduce the batch.",
        )
    if reason in {"StartError", "ContainerCannotRun"}:
        return Cause(
            "container-error",
            f"the container cannot be started ({code}): {message}",
            "Check that the image has the command (maskrcnn.image).",
        )
    meaning = {
        126: ("not-executable", "the image's command cannot be executed (126)", "Correct the image."),
        127: (
            "command-missing",
            "the image does not have the command (127)",
            "Correct maskrcnn.image; the log names it.",
        ),
        137: (
            "killed",
            "the container was killed (137, SIGKILL): its node ran out of memory, or its grace period ended",
            "See kubectl describe node.",
        ),
        143: (
            "terminated",
            "the container was terminated (143, SIGTERM): its pod was deleted or its node drained",
            "Installing again resumes from the newest checkpoint.",
        ),
    }
    if code in meaning:
        return Cause(*meaning[code])
    return Cause(
        "exit-code", f"the container ended with exit code {code}" + (f": {message}" if message else ""), ""
    )


def _pod(pod: Object) -> Cause | None:
    reason, message = text(pod, "status", "reason"), _short(text(pod, "status", "message"))
    disruption = condition(pod, "DisruptionTarget")
    if reason == "Evicted":
        return Cause(
            "evicted",
            f"the pod was evicted: {message}",
            "Set maskrcnn.memory, or give the nodes larger disks; installing again resumes.",
        )
    if reason == "NodeLost" or text(disruption, "reason") == "DeletionByTaintManager":
        return Cause("node-lost", f"the node {text(pod, 'spec', 'nodeName')} is gone or does not respond", "")
    if text(disruption, "reason") == "PreemptionByScheduler":
        return Cause(
            "preempted",
            "a pod with a higher priority preempted it",
            "Set maskrcnn.priority_class; installing again resumes.",
        )
    if reason in {"UnexpectedAdmissionError", "NodeAffinity"} or reason.startswith("OutOf"):
        return Cause(
            "node-refused", f"the node {text(pod, 'spec', 'nodeName')} rejected the pod: {message}", ""
        )
    if reason == "DeadlineExceeded":
        return Cause(
            "deadline", "the pod ran longer than its deadline", "Set a longer activeDeadlineSeconds."
        )
    return None


def _container(status: Object) -> Cause | None:
    image = text(status, "image")
    waiting, terminated = at(status, "state", "waiting"), at(status, "state", "terminated")
    last = at(status, "lastState", "terminated")
    reason, words = waiting.get("reason", ""), _short(waiting.get("message", ""))
    if reason in {"ErrImagePull", "ImagePullBackOff", "RegistryUnavailable"}:
        return _pull(image, words)
    if reason == "CrashLoopBackOff":
        why = ended(last) if last else None
        return Cause(
            "crash-loop" if why is None or why.id == "exit-code" else why.id,
            f"the container keeps failing ({status.get('restartCount', 0)} restarts)"
            + (f": {why.text.removeprefix('the container ')}" if why else ""),
            (why.fix if why else "") or "Read the log.",
        )
    if reason in _WAITING:
        name, sentence, fix = _WAITING[reason]
        return Cause(name, sentence.format(image=image, message=words), fix)
    if terminated.get("exitCode", 0):
        return ended(terminated)
    return None


def _pull(image: str, message: str) -> Cause:
    # Since Kubernetes 1.30, a back-off message repeats the error.
    for pattern, name, sentence, fix in _PULLS:
        if re.search(pattern, message, re.IGNORECASE):
            return Cause(name, sentence.format(image=image), fix)
    return Cause(
        "image-pull", f"the image {image} cannot be pulled: {message}", "See its name and the registry."
    )


def _event(events: list[Object]) -> Cause | None:
    for event in reversed(events):
        for reason, pattern, name, sentence, fix in _EVENTS:
            match = re.search(pattern, event.get("message", ""), re.DOTALL)
            if re.fullmatch(reason, event.get("reason", "")) and match:
                words = {key: _short(item) for key, item in match.groupdict().items()}
                return Cause(name, sentence.format(**words), fix)
    return None


def _starting(pod: Object, events: list[Object]) -> Cause:
    node = text(pod, "spec", "nodeName")
    if events and events[-1].get("reason") == "Pulling":
        return Cause("image-pulling", f"the node {node} is pulling the image", "")
    return Cause("starting", f"the node {node} has not started it yet", "")


def _not_ready(pod: Object, events: list[Object]) -> Cause | None:
    if condition(pod, "Ready").get("reason") == "PodCompleted":
        return None
    if any(event.get("reason") == "NodeNotReady" for event in events):
        node = text(pod, "spec", "nodeName")
        return Cause("node-lost", f"the node {node} does not respond", f"See kubectl describe node {node}.")
    message = next(
        (_short(item["message"]) for item in reversed(events) if item.get("reason") == "Unhealthy"), ""
    )
    if message:
        return Cause("not-ready", f"it is running but not ready: {message}", "Read its log.")
    return Cause("not-ready", "it is running but not ready yet", "")


def _short(message: str) -> str:
    flat = " ".join(message.split()).rstrip(".")
    return flat if len(flat) <= 240 else f"{flat[:237]}..."
