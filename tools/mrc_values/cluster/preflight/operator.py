"""Checks whether the cluster can run MPIJobs: its version, CRD, operator, gang scheduler and queues."""

import re
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.cluster.client import Resource
from mrc_values.cluster.objects import Object, at, items, name, text, value
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Problem, images

_GROUP, _VERSION = "kubeflow.org", "v2beta1"
_INSTALL = "helm install mpijob charts/mpijob"
_QUEUE = "kueue.x-k8s.io/queue-name"


def version_is_taken(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """The cluster's version is in the range in Chart.yaml."""
    server = reader.cluster.version()
    if in_range(server, planned.kube_version) is False:
        message = f"the cluster runs Kubernetes {server}, but the chart requires {planned.kube_version}."
        yield Problem("MRC100", "", message, "Upgrade the cluster.")


def in_range(version: str, constraint: str) -> bool | None:
    """Whether a version such as ``v1.34.2-eks-1a2b`` is in a range such as ``>=1.27.0-0 <2.0.0``.

    None for a range in another form, which is left to Helm.
    """
    result = _numbers(version)
    inside = True
    for part in constraint.replace(",", " ").split():
        match = re.fullmatch(r"(>=|<=|>|<)v?(\d+(?:\.\d+){0,2})(?:-0)?", part)
        if match is None or result is None:
            return None
        limit = _numbers(match[2])
        assert limit
        inside = (
            inside
            and {
                ">=": result >= limit,
                "<=": result <= limit,
                ">": result > limit,
                "<": result < limit,
            }[match[1]]
        )
    return inside


def _numbers(version: str) -> tuple[int, ...] | None:
    match = re.match(r"v?(\d+)(?:\.(\d+))?(?:\.(\d+))?", version)
    return tuple(int(part or 0) for part in match.groups()) if match else None


def jobs_are_known(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """The API has MPIJobs of v2beta1, and a running operator watches the namespace."""
    for job in planned.of_kind("MPIJob"):
        if not _serves_jobs(reader, _VERSION):
            yield _missing_kind(reader)
            return
        yield from _operator(job, reader)


def _serves_jobs(reader: ClusterReader, version: str) -> bool:
    kinds = reader.cluster.served(f"/apis/{_GROUP}/{version}") or ()
    return "mpijobs" in {text(kind, "name") for kind in kinds}


def _missing_kind(reader: ClusterReader) -> Problem:
    """The cluster has no MPIJobs at all, or only those of another version."""
    versions = [version for version in reader.cluster.group(_GROUP) if _serves_jobs(reader, version)]
    if not versions:
        fix = f"Install the CRD and the operator: {_INSTALL}."
        return Problem("MRC101", "", "the MPIJob CRD is not installed.", fix)
    return Problem(
        "MRC101",
        "",
        f"the MPIJob CRD has only version {' and '.join(versions)}, which belongs to another operator; "
        f"the charts need {_VERSION}.",
        "A cluster can have only one of them. To replace it, disable MPIJobs in that operator, run "
        f"`kubectl delete crd mpijobs.{_GROUP}`, which deletes its MPIJobs, and then `{_INSTALL}`.",
    )


def _operator(job: Object, reader: ClusterReader) -> Iterator[Problem]:
    namespace = text(job, "metadata", "namespace")
    operators = [item for item in reader.deployments if _is_operator(item)]
    if not operators:
        message = "no MPI Operator is running, so the job would never start."
        yield Problem("MRC102", "", message, f"Install it: {_INSTALL}.")
        return
    up = [item for item in operators if value(item, "status", "availableReplicas")]
    title = _title(operators[0])
    if not up:
        where = f"kubectl get pods --namespace {text(operators[0], 'metadata', 'namespace')}"
        yield Problem("MRC102", "", f"the MPI Operator {title} is not available.", f"See {where}.")
        return
    watching = [item for item in up if flag_value(item, "namespace") in ("", namespace)]
    if not watching:
        words = " and ".join(sorted({flag_value(item, "namespace") for item in up}))
        yield Problem(
            "MRC102",
            "global.namespace",
            f"the MPI Operator {title} watches only the namespace {words}, but the job is in {namespace}.",
            f"Set global.namespace to {flag_value(up[0], 'namespace')}, "
            "or operator.scope of the chart mpijob to cluster.",
        )
        return
    if len(watching) > 1:
        yield Problem(
            "MRC102",
            "",
            f"{len(watching)} MPI Operators watch the namespace {namespace}: "
            f"{', '.join(sorted(map(_title, watching)))}. Each of them would act on the job.",
            "Delete all but one, or restrict each to its own namespace (operator.scope of the chart mpijob).",
            Severity.WARNING,
        )
    wanted = value(job, "spec", "runPolicy", "schedulingPolicy", "minAvailable") or 1
    if wanted > 1 and not any(flag_value(item, "gang-scheduling") for item in watching):
        yield Problem(
            "MRC103",
            "maskrcnn.gang",
            f"the MPI Operator {_title(watching[0])} runs without --gang-scheduling, so workers do not "
            "wait until all of them fit.",
            "Set operator.gang_scheduling of the chart mpijob to your gang scheduler, or gang to false.",
        )


def _is_operator(deployment: Object) -> bool:
    """Whether it is an MPI Operator, by our chart's labels or its image."""
    labels = at(deployment, "metadata", "labels")
    ours = labels.get("app.kubernetes.io/name") == "mpijob" and (
        labels.get("app.kubernetes.io/component") == "operator"
    )
    return ours or any(re.search(r"(^|[/-])mpi-operator([:@]|$)", image) for image in images(deployment))


def flag_value(deployment: Object, flag: str) -> str:
    """The value of a flag of the operator, or empty."""
    for container in items(deployment, "spec", "template", "spec", "containers"):
        words = [*items(container, "command"), *items(container, "args")]
        for word, following in zip(words, [*words[1:], ""], strict=False):
            bare, equals, given = str(word).lstrip("-").partition("=")
            if str(word).startswith("-") and bare == flag:
                return given if equals else str(following)
    return ""


def _title(deployment: Object) -> str:
    return f"{text(deployment, 'metadata', 'namespace')}/{name(deployment)}"


def queue_exists(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """Kueue is installed and has the job's LocalQueue; without Kueue the label would have no effect."""
    for job in planned.of_kind("MPIJob"):
        queue = text(job, "metadata", "labels", _QUEUE)
        if not queue:
            continue
        namespace = text(job, "metadata", "namespace")
        versions = reader.cluster.group("kueue.x-k8s.io")
        if not versions:
            message = f"Kueue is not installed, so the queue {queue} would be ignored."
            yield Problem("MRC142", "maskrcnn.queue", message, 'Install Kueue, or set queue to "".')
            return
        queues = Resource(f"/apis/kueue.x-k8s.io/{versions[0]}", "localqueues")
        if not reader.cluster.exists(queues, queue, namespace):
            there = ", ".join(name(item) for item in reader.cluster.list(queues, namespace)) or "none"
            message = f"the LocalQueue {queue} does not exist in the namespace {namespace}."
            yield Problem(
                "MRC142", "maskrcnn.queue", message, f"Create it, or use another one. Existing ones: {there}."
            )
