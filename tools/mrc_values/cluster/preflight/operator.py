"""Whether the cluster runs MPIJobs: its version, the CRD, the operator, gang schedulers and queues."""

import re
from collections.abc import Iterator

from mrc_values.cluster.client import Resource
from mrc_values.cluster.objects import Object, at, items, name, text, value
from mrc_values.cluster.preflight.planned import Planned, Problem, Seen, images

MPI = "/apis/kubeflow.org/v2beta1"
_INSTALL = "helm install mpijob charts/mpijob"
_QUEUE = "kueue.x-k8s.io/queue-name"


def version_is_taken(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """The cluster's version is in the range of Chart.yaml."""
    server = seen.cluster.version()
    if in_range(server, planned.kube_version) is False:
        message = f"Kubernetes {server}, and the chart needs {planned.kube_version}."
        yield Problem("MRC100", "", message, "Upgrade the cluster.")


def in_range(version: str, constraint: str) -> bool | None:
    """Whether a version such as ``v1.34.2-eks-1a2b`` is in a range such as ``>=1.27.0-0 <2.0.0``.

    None for a range of another form, which Helm itself has to judge.
    """
    found = _numbers(version)
    inside = True
    for part in constraint.replace(",", " ").split():
        match = re.fullmatch(r"(>=|<=|>|<)v?(\d+(?:\.\d+){0,2})(?:-0)?", part)
        if match is None or found is None:
            return None
        limit = _numbers(match[2])
        assert limit
        inside = (
            inside
            and {
                ">=": found >= limit,
                "<=": found <= limit,
                ">": found > limit,
                "<": found < limit,
            }[match[1]]
        )
    return inside


def _numbers(version: str) -> tuple[int, ...] | None:
    match = re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def jobs_are_known(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """The API has MPIJobs of v2beta1, and an operator that is up looks at the namespace."""
    for job in planned.of_kind("MPIJob"):
        found = seen.cluster.served(MPI)
        if found is None or "mpijobs" not in {text(each, "name") for each in found}:
            group = seen.cluster.group("kubeflow.org")
            other = f" of v2beta1; it has {', '.join(group)} of kubeflow.org" if group else ""
            yield Problem("MRC101", "", f"the cluster knows no MPIJobs{other}.", f"Install both: {_INSTALL}.")
            return
        yield from _operator(job, seen)


def _operator(job: Object, seen: Seen) -> Iterator[Problem]:
    namespace = text(job, "metadata", "namespace")
    operators = [each for each in seen.deployments if _is_operator(each)]
    if not operators:
        message = "no MPI Operator runs, so nothing would happen to the job."
        yield Problem("MRC102", "", message, f"Install it: {_INSTALL}.")
        return
    up = [each for each in operators if value(each, "status", "availableReplicas")]
    title = _title(operators[0])
    if not up:
        where = f"kubectl get pods --namespace {text(operators[0], 'metadata', 'namespace')}"
        yield Problem("MRC102", "", f"the MPI Operator {title} is not up.", f"See {where}.")
        return
    watching = [each for each in up if _flag(each, "namespace") in ("", namespace)]
    if not watching:
        said = " and ".join(sorted({_flag(each, "namespace") for each in up}))
        yield Problem(
            "MRC102",
            "global.namespace",
            f"the MPI Operator {title} looks only at the namespace {said}, and the job goes to {namespace}.",
            f"Set global.namespace to {_flag(up[0], 'namespace')}, "
            "or operator.scope of the chart mpijob to cluster.",
        )
        return
    wanted = value(job, "spec", "runPolicy", "schedulingPolicy", "minAvailable") or 1
    if wanted > 1 and not any(_flag(each, "gang-scheduling") for each in watching):
        yield Problem(
            "MRC103",
            "maskrcnn.gang",
            f"the MPI Operator {_title(watching[0])} runs without --gang-scheduling, so workers are not "
            "held back until all have room.",
            "Set operator.gang_scheduling of the chart mpijob to your gang scheduler, or gang to false.",
        )


def _is_operator(deployment: Object) -> bool:
    """By what it is: our chart's label, or the image's name."""
    labels = at(deployment, "metadata", "labels")
    ours = labels.get("app.kubernetes.io/name") == "mpijob" and (
        labels.get("app.kubernetes.io/component") == "operator"
    )
    return ours or any(re.search(r"(^|/)mpi-operator([:@]|$)", image) for image in images(deployment))


def _flag(deployment: Object, flag: str) -> str:
    """The value of a flag of the operator; empty without."""
    for container in items(deployment, "spec", "template", "spec", "containers"):
        words = [*items(container, "command"), *items(container, "args")]
        for word, following in zip(words, [*words[1:], ""], strict=True):
            bare, equals, given = str(word).lstrip("-").partition("=")
            if str(word).startswith("-") and bare == flag:
                return given if equals else str(following)
    return ""


def _title(deployment: Object) -> str:
    return f"{text(deployment, 'metadata', 'namespace')}/{name(deployment)}"


def queue_exists(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """Kueue is there with the job's LocalQueue; without Kueue the label means nothing and the job starts."""
    for job in planned.of_kind("MPIJob"):
        queue = text(job, "metadata", "labels", _QUEUE)
        if not queue:
            continue
        namespace = text(job, "metadata", "namespace")
        versions = seen.cluster.group("kueue.x-k8s.io")
        if not versions:
            message = f"Kueue is not in the cluster, so the queue {queue} would be ignored."
            yield Problem("MRC142", "maskrcnn.queue", message, 'Install Kueue, or set queue to "".')
            return
        queues = Resource(f"/apis/kueue.x-k8s.io/{versions[0]}", "localqueues")
        if not seen.cluster.exists(queues, queue, namespace):
            there = ", ".join(name(each) for each in seen.cluster.list(queues, namespace)) or "none"
            message = f"there is no LocalQueue {queue} in the namespace {namespace}."
            yield Problem("MRC142", "maskrcnn.queue", message, f"Create it, or name another. There: {there}.")
