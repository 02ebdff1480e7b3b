"""A release that is to be installed, the cluster's objects, and the problems that checks report."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from mrc_cli.findings import Severity

from mrc_values import helm, parts
from mrc_values.check import Result
from mrc_values.cluster import client
from mrc_values.cluster.client import Cluster, Forbidden
from mrc_values.cluster.objects import Object, at, items, name, text, value
from mrc_values.manifests import objects
from mrc_values.parts import Part
from mrc_values.values import Values

_HOOK = "helm.sh/hook"
RELEASE, RELEASE_NAMESPACE = "meta.helm.sh/release-name", "meta.helm.sh/release-namespace"


@dataclass(frozen=True)
class Problem:
    """A finding of a check. ``name`` is the value that causes it; empty when it concerns the cluster."""

    rule: str
    name: str
    message: str
    fix: str
    severity: Severity | None = None


def not_checked(subject: str, error: Forbidden) -> Problem:
    """A check that the user's permissions do not allow; ``subject`` as in "claims can be mounted"."""
    return Problem("MRC199", "", f"not checked whether {subject}: {error.reason}", "")


@dataclass(frozen=True)
class Pods:
    """``count`` pods from the same template; ``section`` is the section with their values."""

    title: str
    section: str
    namespace: str
    count: int
    spec: Object

    def setting(self, option: str) -> str:
        """The dotted name of one of these values."""
        return f"{self.section}.{option}" if self.section else option

    @property
    def selector(self) -> dict[str, str]:
        """The labels that their nodes must have."""
        return {key: str(label) for key, label in at(self.spec, "nodeSelector").items()}


@dataclass(frozen=True)
class PlannedRelease:
    """A release that is to be installed: its values and rendered objects.

    Attributes:
        objects: those that Helm applies, without hooks.
        upgrade: whether the release already exists.
        runs_to_end: names of live MPIJobs that an upgrade may delete.
        release_objects: those of the whole release if this is only one of its charts, else None.
    """

    release: str
    namespace: str
    kube_version: str
    values: Values
    objects: Sequence[Object]
    upgrade: bool = False
    runs_to_end: frozenset[str] = frozenset()
    release_objects: Sequence[Object] | None = None

    def of_kind(self, kind: str) -> Iterator[Object]:
        """The objects of one kind."""
        return (item for item in self.objects if item.get("kind") == kind)

    @cached_property
    def namespaces(self) -> list[str]:
        """The namespaces of its objects that it does not create."""
        made = {name(item) for item in self.of_kind("Namespace")}
        return sorted({text(item, "metadata", "namespace") for item in self.objects} - {""} - made)

    @cached_property
    def pods(self) -> list[Pods]:
        """All kinds of pods, the workers first, which have the largest requests."""
        result = []
        for job in self.of_kind("MPIJob"):
            for role in ("Worker", "Launcher"):
                replica = at(job, "spec", "mpiReplicaSpecs", role)
                section = "maskrcnn" if role == "Worker" else "maskrcnn.launcher"
                result.append(_pods(f"the {role.lower()}", section, job, replica))
        for job in self.of_kind("Job"):
            replica = {**at(job, "spec"), "replicas": value(job, "spec", "parallelism")}
            result.append(_pods("the pod", "", job, replica))
        for deployment in self.of_kind("Deployment"):
            chart = text(deployment, "metadata", "labels", "app.kubernetes.io/name")
            section = chart if isinstance(self.values.get(chart), dict) else ""
            result.append(_pods(chart or name(deployment), section, deployment, at(deployment, "spec")))
        return result


def planned(
    release: str,
    namespace: str,
    chart: Path,
    result: Result,
    upgrade: bool = False,
    runs_to_end: Collection[str] = (),
) -> PlannedRelease:
    """The release that a checked chart would become in a namespace."""
    applied, version = _applied(result.rendered), _kube_version(chart)
    return PlannedRelease(
        release, namespace, version, result.values, applied, upgrade, frozenset(runs_to_end)
    )


def by_part(whole: PlannedRelease, result: Result) -> list[tuple[Part, PlannedRelease]]:
    """The charts of a release, each with its own values and objects; usually there is only one."""
    if len(result.parts) == 1:
        return [(result.parts[0], whole)]
    planned_parts = []
    for part in result.parts:
        own = {
            path: text
            for path, text in result.rendered.items()
            if parts.of_template(result.parts, path) is part
        }
        planned_parts.append(
            (
                part,
                replace(
                    whole,
                    values=part.values,
                    objects=_applied(own),
                    kube_version=_kube_version(part.chart),
                    release_objects=whole.objects,
                ),
            )
        )
    return planned_parts


def _applied(rendered: Mapping[str, str]) -> list[Object]:
    """The objects that Helm applies, without hooks."""
    return [item for item in objects(rendered) if not at(item, "metadata", "annotations").get(_HOOK)]


def _kube_version(chart: Path) -> str:
    return str(helm.metadata(chart).get("kubeVersion", ""))


def _pods(title: str, section: str, owner: Object, replica: Object) -> Pods:
    count = value(replica, "replicas")
    namespace = text(owner, "metadata", "namespace")
    return Pods(
        title, section, namespace, 1 if count is None else int(count), at(replica, "template", "spec")
    )


class ClusterReader:
    """The objects that several checks need, read from the cluster once, on first use."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @cached_property
    def nodes(self) -> list[Object]:
        """All nodes."""
        return list(self.cluster.list(client.NODES))

    @cached_property
    def running(self) -> list[Object]:
        """Pods in all namespaces that are on a node and have not ended."""
        over = "status.phase!=Succeeded,status.phase!=Failed,spec.nodeName!="
        return list(self.cluster.list(client.PODS, fields=over))

    @cached_property
    def deployments(self) -> list[Object]:
        """Deployments in all namespaces."""
        return list(self.cluster.list(client.DEPLOYMENTS))


def images(workload: Object) -> list[str]:
    """The images of a workload's containers."""
    return [text(item, "image") for item in items(workload, "spec", "template", "spec", "containers")]
