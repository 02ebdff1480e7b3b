"""Whether there are nodes for the pods: labels, taints, devices, room now, who can add more; their region."""

from collections import Counter
from collections.abc import Iterator, Mapping

from mrc_cli.findings import Severity

from mrc_values.cluster import client
from mrc_values.cluster.objects import Object, at, condition, items, name, text
from mrc_values.cluster.preflight import resources
from mrc_values.cluster.preflight.planned import Planned, Pods, Problem, Seen, images
from mrc_values.cluster.preflight.resources import shown
from mrc_values.rules.images import ecr_regions

_REGION = "topology.kubernetes.io/region"
_JOB = "training.kubeflow.org/job-name"
_WELL_KNOWN = ("kubernetes.io/", "node.kubernetes.io/", "topology.kubernetes.io/", "karpenter.k8s.aws/")
_DEVICES = {"nvidia.com/gpu": "the NVIDIA device plugin", "vpc.amazonaws.com/efa": "the EFA device plugin"}


def nodes_are_enough(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """For each kind of pod: nodes with its labels and tolerated taints, large and many enough."""
    for pods in planned.pods:
        if problem := _nodes(pods, planned, seen):
            yield problem
    yield from _far_images(planned, seen)


def _nodes(pods: Pods, planned: Planned, seen: Seen) -> Problem | None:
    setting = _setting(pods, planned)
    where = _where(pods)
    labelled = [node for node in seen.nodes if _has(node, pods.selector)]
    if not labelled:
        return _none(pods, setting, f"there is no node {where}, for {pods.title}", seen)
    usable = [node for node in labelled if not _untolerated(node, pods.spec)]
    if not usable:
        taints = Counter(_untolerated(node, pods.spec) for node in labelled)
        said = ", ".join(f"{count} {why}" for why, count in taints.most_common(3))
        message = f"{pods.title} can go to none of the {len(labelled)} nodes {where}: {said}"
        return _none(pods, setting, message, seen)
    wanted = resources.asked(pods.spec)
    whole = {name(node): resources.amounts(at(node, "status", "allocatable")) for node in usable}
    if not any(resources.fitting(each, wanted) for each in whole.values()):
        return _too_small(pods, setting, wanted, whole, seen)
    room = sum(resources.fitting(each, wanted) for each in whole.values())
    if room < pods.count:
        message = (
            f"{pods.title}s: {pods.count} are asked for and the {_count(usable)} {where} "
            f"can hold {room} when nothing else runs there"
        )
        return _none(pods, setting, message, seen, "MRC122")
    if setting.startswith("maskrcnn") and not planned.values.get("maskrcnn.queue"):
        return _busy(pods, setting, wanted, usable, planned, seen)
    return None


def _busy(
    pods: Pods, setting: str, wanted: Mapping[str, float], usable: list[Object], planned: Planned, seen: Seen
) -> Problem | None:
    """Room is there, but others have it now. What the release itself runs makes room for its new run."""
    own = {name(job) for job in _own_jobs(planned, seen)}
    others = [pod for pod in seen.running if not _is_of(pod, own, pods.namespace)]
    left = resources.free(usable, others)
    now = sum(resources.fitting(each, wanted) for each in left.values())
    if now >= pods.count:
        return None
    short = Counter(each for node in left.values() for each in resources.lacking(node, wanted))
    device = next((each for each in _DEVICES if each in short), next(iter(short), "room"))
    total = sum(int(max(node.get(device, 0), 0)) for node in left.values())
    message = (
        f"there is room for {now} of {pods.count} {pods.title.removeprefix('the ')}s now: "
        f"{shown(device, total)} are free on the {_count(usable)} {_where(pods)}, "
        f"{shown(device, wanted.get(device, 0) * pods.count)} are asked for"
    )
    fix = "The job waits until others end. Or ask for less: see mrc-values list for what runs."
    return Problem("MRC123", setting, f"{message}.", fix)


def _own_jobs(planned: Planned, seen: Seen) -> Iterator[Object]:
    if not planned.upgrade:
        return
    for job in planned.of_kind("MPIJob"):
        labels = f"app.kubernetes.io/instance={planned.release}"
        yield from seen.cluster.list(client.MPIJOBS, text(job, "metadata", "namespace"), labels=labels)


def _is_of(pod: Object, jobs: set[str], namespace: str) -> bool:
    labels = at(pod, "metadata", "labels")
    return labels.get(_JOB) in jobs and text(pod, "metadata", "namespace") == namespace


def _too_small(
    pods: Pods,
    setting: str,
    wanted: Mapping[str, float],
    whole: Mapping[str, Mapping[str, float]],
    seen: Seen,
) -> Problem:
    """No node could hold one pod, even when empty."""
    largest = max(whole.values(), key=lambda node: -len(resources.lacking(node, wanted)))
    missing = resources.lacking(largest, wanted)
    parts = [
        f"{shown(each, wanted[each])} (it has {shown(each, largest.get(each, 0.0))})" for each in missing
    ]
    message = f"no node {_where(pods)} can hold {pods.title}, which asks for {', '.join(parts)}"
    absent = [_DEVICES[each] for each in missing if each in _DEVICES and not largest.get(each)]
    if absent:
        fix = f"See that {' and '.join(absent)} runs on these nodes: kubectl get daemonsets --all-namespaces."
        return Problem("MRC121", setting, f"{message}.", fix)
    return _none(pods, setting, message, seen, "MRC121")


def _none(pods: Pods, setting: str, message: str, seen: Seen, rule: str = "MRC120") -> Problem:
    """Too little of what is there: an error, unless somebody may add it."""
    pools = [name(pool) for pool in _node_pools(seen) if _can_make(pool, pods)]
    if pools:
        said = f"Karpenter's NodePool {' or '.join(pools)} can add such nodes."
        return Problem(rule, setting, f"{message}. {said}", _WAIT, Severity.WARNING)
    if any("cluster-autoscaler" in image for each in seen.deployments for image in images(each)):
        said = "The cluster-autoscaler runs; whether a node group of it has such nodes cannot be seen."
        return Problem(rule, setting, f"{message}. {said}", _WAIT, Severity.WARNING)
    return Problem(
        rule, setting, f"{message}. No autoscaler was found that can add nodes.", _fix(setting, seen)
    )


_WAIT = "Nodes take minutes to come; mrc-values status says why a pod waits."


def _fix(setting: str, seen: Seen) -> str:
    label = "node.kubernetes.io/instance-type"
    there = Counter(text(node, "metadata", "labels", label) for node in seen.nodes)
    most = sorted(there.items(), key=lambda each: (-each[1], each[0]))[:6]
    known = ", ".join(f"{count} {kind or 'of no type'}" for kind, count in most) or "no nodes"
    return f"Add nodes, or set {setting} to what there is: {known}."


def _node_pools(seen: Seen) -> list[Object]:
    try:
        return list(seen.cluster.list(client.NODE_POOLS))
    except (client.NotFound, client.Forbidden):
        return []


def _can_make(pool: Object, pods: Pods) -> bool:
    """Whether a Karpenter NodePool may make nodes with the labels, without taints in the way."""
    template = at(pool, "spec", "template")
    labels = at(template, "metadata", "labels")
    requirements = {text(each, "key"): each for each in items(template, "spec", "requirements")}
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
    taints = items(template, "spec", "taints")
    return all(_tolerates(pods.spec, taint) for taint in taints)


def _far_images(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """Images that lie in another region than the nodes, as far as those say where they are."""
    regions = {text(node, "metadata", "labels", _REGION) for node in seen.nodes} - {""}
    for setting, region in ecr_regions(planned.values):
        if regions and region not in regions:
            here = " and ".join(sorted(regions))
            message = f"the image lies in {region}, and the cluster's nodes are in {here}."
            yield Problem("MRC124", setting, message, f"Push it to ECR in {here}, or replicate it there.")


def _has(node: Object, selector: Mapping[str, str]) -> bool:
    labels = at(node, "metadata", "labels")
    return all(labels.get(key) == wanted for key, wanted in selector.items())


def _untolerated(node: Object, spec: Object) -> str:
    """Why a pod cannot go to a node, whatever the room; empty when it can."""
    if at(node, "spec").get("unschedulable"):
        return "cordoned"
    for taint in items(node, "spec", "taints"):
        if taint.get("effect") in ("NoSchedule", "NoExecute") and not _tolerates(spec, taint):
            return f"with the taint {taint.get('key')}"
    return "" if condition(node, "Ready").get("status") == "True" else "not ready"


def _tolerates(spec: Object, taint: Object) -> bool:
    if taint.get("effect") == "PreferNoSchedule":
        return True
    return any(
        each.get("effect") in (None, "", taint.get("effect"))
        and (
            (each.get("operator") == "Exists" and each.get("key") in (None, "", taint.get("key")))
            or (
                each.get("key") == taint.get("key")
                and (each.get("value") or "") == (taint.get("value") or "")
            )
        )
        for each in items(spec, "tolerations")
    )


def _where(pods: Pods) -> str:
    if not pods.selector:
        return "of the cluster"
    return "with " + " and ".join(f"{key}={label}" for key, label in sorted(pods.selector.items()))


def _setting(pods: Pods, planned: Planned) -> str:
    """The value that decides where the pods go."""
    by_group = pods.setting("node_group")
    return by_group if planned.values.get(by_group) else pods.setting("node_selector")


def _count(nodes: list[Object]) -> str:
    return f"{len(nodes)} node" + ("" if len(nodes) == 1 else "s")
