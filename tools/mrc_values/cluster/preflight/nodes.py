"""Checks the nodes for the pods: labels, taints, devices, free resources, autoscalers and region."""

from collections import Counter
from collections.abc import Iterator, Mapping

from mrc_cli.findings import Severity

from mrc_values.cluster import client, taints
from mrc_values.cluster.objects import Object, at, condition, items, name, text
from mrc_values.cluster.preflight import resources
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Pods, Problem, images
from mrc_values.cluster.preflight.resources import shown
from mrc_values.rules.images import ecr_regions

_REGION = "topology.kubernetes.io/region"
_JOB = "training.kubeflow.org/job-name"
_WELL_KNOWN = ("kubernetes.io/", "node.kubernetes.io/", "topology.kubernetes.io/", "karpenter.k8s.aws/")
_DEVICES = {"nvidia.com/gpu": "the NVIDIA device plugin", "vpc.amazonaws.com/efa": "the EFA device plugin"}


def nodes_are_enough(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """For each kind of pod, there are enough nodes with its labels, tolerated taints and resources."""
    for pods in planned.pods:
        if problem := _nodes(pods, planned, reader):
            yield problem
    yield from _far_images(planned, reader)


def usable(pods: Pods, reader: ClusterReader) -> list[Object]:
    """The nodes with the pods' labels that are ready and whose taints they tolerate."""
    labelled = (node for node in reader.nodes if _has(node, pods.selector))
    return [node for node in labelled if not _unavailable(node, pods.spec)]


def _nodes(pods: Pods, planned: PlannedRelease, reader: ClusterReader) -> Problem | None:
    setting = _setting(pods, planned)
    where = _where(pods)
    labelled = [node for node in reader.nodes if _has(node, pods.selector)]
    if not labelled:
        return _none(pods, setting, f"there is no node {where} for {pods.title}", planned, reader)
    possible = usable(pods, reader)
    if not possible:
        why_not = Counter(_unavailable(node, pods.spec) for node in labelled)
        listed = ", ".join(f"{count} {why}" for why, count in why_not.most_common(3))
        message = f"{pods.title} cannot run on any of the {len(labelled)} nodes {where}: {listed}"
        blocking = taints.blocking(taints.untolerated(pods.spec, node) for node in labelled)
        if blocking and blocking.kind is taints.Kind.START_UP:
            return Problem("MRC120", setting, f"{message}.", _STARTING, Severity.WARNING)
        return _none(pods, setting, message, planned, reader)
    wanted = resources.asked(pods.spec)
    whole = {name(node): resources.amounts(at(node, "status", "allocatable")) for node in possible}
    if not any(resources.fitting(item, wanted) for item in whole.values()):
        return _too_small(pods, setting, wanted, whole, planned, reader)
    room = sum(resources.fitting(item, wanted) for item in whole.values())
    if room < pods.count:
        message = (
            f"{pods.title}s: {pods.count} are requested, but the {_count(possible)} {where} "
            f"can hold {room} even when nothing else runs there"
        )
        return _none(pods, setting, message, planned, reader, "MRC122")
    if setting.startswith("maskrcnn") and not planned.values.get("maskrcnn.queue"):
        return _busy(pods, setting, wanted, possible, planned, reader)
    return None


def _busy(
    pods: Pods,
    setting: str,
    wanted: Mapping[str, float],
    usable: list[Object],
    planned: PlannedRelease,
    reader: ClusterReader,
) -> Problem | None:
    """A warning when other pods use the resources now. Pods of the release's own jobs do not count."""
    own = {name(job) for job in _own_jobs(planned, reader)}
    others = [pod for pod in reader.running if not _is_of(pod, own, pods.namespace)]
    left = resources.free(usable, others)
    now = sum(resources.fitting(item, wanted) for item in left.values())
    if now >= pods.count:
        return None
    short = Counter(item for node in left.values() for item in resources.lacking(node, wanted))
    device = next((item for item in _DEVICES if item in short), next(iter(short), "room"))
    total = sum(int(max(node.get(device, 0), 0)) for node in left.values())
    message = (
        f"there is room for {now} of {pods.count} {pods.title.removeprefix('the ')}s now: "
        f"{shown(device, total)} are free on the {_count(usable)} {_where(pods)}, "
        f"{shown(device, wanted.get(device, 0) * pods.count)} are requested"
    )
    fix = (
        "The job will wait until others end. To start sooner, request less; "
        "mrc-values list shows what is running."
    )
    return Problem("MRC123", setting, f"{message}.", fix)


def _own_jobs(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Object]:
    if not planned.upgrade:
        return
    for job in planned.of_kind("MPIJob"):
        labels = f"app.kubernetes.io/instance={planned.release}"
        yield from reader.cluster.list(client.MPIJOBS, text(job, "metadata", "namespace"), labels=labels)


def _is_of(pod: Object, jobs: set[str], namespace: str) -> bool:
    labels = at(pod, "metadata", "labels")
    return labels.get(_JOB) in jobs and text(pod, "metadata", "namespace") == namespace


def _too_small(
    pods: Pods,
    setting: str,
    wanted: Mapping[str, float],
    whole: Mapping[str, Mapping[str, float]],
    planned: PlannedRelease,
    reader: ClusterReader,
) -> Problem:
    """No node can hold a pod, even when it is empty."""
    largest = max(whole.values(), key=lambda node: -len(resources.lacking(node, wanted)))
    missing = resources.lacking(largest, wanted)
    parts = [
        f"{shown(item, wanted[item])} (the largest has {shown(item, largest.get(item, 0.0))})"
        for item in missing
    ]
    message = f"no node {_where(pods)} can hold {pods.title}, which requests {', '.join(parts)}"
    absent = [plugin for item in missing if not largest.get(item) and (plugin := _plugin(item))]
    if absent:
        fix = (
            f"Check that {' and '.join(absent)} runs on these nodes: kubectl get daemonsets --all-namespaces."
        )
        return Problem("MRC121", setting, f"{message}.", fix)
    return _none(pods, setting, message, planned, reader, "MRC121")


def _plugin(resource: str) -> str:
    """The device plugin that offers a resource; MIG devices and shared GPUs have names of their own."""
    return _DEVICES["nvidia.com/gpu"] if resource.startswith("nvidia.com/") else _DEVICES.get(resource, "")


def _none(
    pods: Pods,
    setting: str,
    message: str,
    planned: PlannedRelease,
    reader: ClusterReader,
    rule: str = "MRC120",
) -> Problem:
    """There are not enough nodes: an error, or a warning when an autoscaler may add some."""
    pools = [name(pool) for pool in _node_pools(reader) if _can_make(pool, pods)]
    if pools:
        words = f"Karpenter's NodePool {' or '.join(pools)} can add such nodes."
        return Problem(rule, setting, f"{message}. {words}", _WAIT, Severity.WARNING)
    if any("cluster-autoscaler" in image for item in reader.deployments for image in images(item)):
        words = "The cluster-autoscaler is running; whether one of its node groups has such nodes is unknown."
        return Problem(rule, setting, f"{message}. {words}", _WAIT, Severity.WARNING)
    return Problem(
        rule,
        setting,
        f"{message}. No autoscaler was found that can add nodes.",
        _fix(setting, planned, reader),
    )


_WAIT = "New nodes take minutes to start; mrc-values status shows why a pod waits."
_STARTING = "They can be used when the component that the taint names is ready; do not tolerate the taint."


def _fix(setting: str, planned: PlannedRelease, reader: ClusterReader) -> str:
    """Add nodes, or choose another node group that the cluster has nodes of."""
    label = "node.kubernetes.io/instance-type"
    counts = Counter(text(node, "metadata", "labels", label) for node in reader.nodes)
    current = planned.values.text(setting)
    others = [
        f"{group.name} ({counts[group.instance_type]} nodes)"
        for group in planned.values.catalogue.node_groups.values()
        if counts[group.instance_type] and group.name != current
    ]
    if not setting.endswith("node_group") or not others:
        return "Add nodes."
    return f"Add nodes, or set {setting} to a group that has some: {', '.join(others)}."


def _node_pools(reader: ClusterReader) -> list[Object]:
    try:
        return list(reader.cluster.list(client.NODE_POOLS))
    except (client.NotFound, client.Forbidden):
        return []


def _can_make(pool: Object, pods: Pods) -> bool:
    """Whether a Karpenter NodePool can create nodes with these labels, and only tolerated taints."""
    template = at(pool, "spec", "template")
    labels = at(template, "metadata", "labels")
    requirements = {text(item, "key"): item for item in items(template, "spec", "requirements")}
    for key, wanted in pods.selector.items():
        if labels.get(key, wanted) != wanted:
            return False
        required = requirements.get(key)
        if required:
            listed = wanted in items(required, "values")
            operator = text(required, "operator")
            if (operator == "In" and not listed) or (operator == "NotIn" and listed):
                return False
        elif key not in labels and not key.startswith(_WELL_KNOWN):
            return False
    return all(taints.tolerates(pods.spec, taint) for taint in items(template, "spec", "taints"))


def _far_images(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """Images in ECR in another region than the nodes, when these have a region label."""
    regions = {text(node, "metadata", "labels", _REGION) for node in reader.nodes} - {""}
    for setting, region in ecr_regions(planned.values):
        if regions and region not in regions:
            here = " and ".join(sorted(regions))
            message = f"the image is stored in {region}, but the cluster's nodes are in {here}."
            yield Problem("MRC124", setting, message, f"Push it to ECR in {here}, or replicate it there.")


def _has(node: Object, selector: Mapping[str, str]) -> bool:
    labels = at(node, "metadata", "labels")
    return all(labels.get(key) == wanted for key, wanted in selector.items())


def _unavailable(node: Object, spec: Object) -> str:
    """Why a pod cannot run on a node regardless of free resources; empty when it can."""
    if at(node, "spec").get("unschedulable"):
        return "cordoned"
    if keys := taints.untolerated(spec, node):
        return f"with the taint {keys[0]}"
    return "" if condition(node, "Ready").get("status") == "True" else "not ready"


def _where(pods: Pods) -> str:
    if not pods.selector:
        return "of the cluster"
    return "with " + " and ".join(f"{key}={label}" for key, label in sorted(pods.selector.items()))


def _setting(pods: Pods, planned: PlannedRelease) -> str:
    """The value that selects the pods' nodes."""
    by_group = pods.setting("node_group")
    return by_group if planned.values.get(by_group) else pods.setting("node_selector")


def _count(nodes: list[Object]) -> str:
    return f"{len(nodes)} node" + ("" if len(nodes) == 1 else "s")
