"""The Helm releases that a cluster of Terraform needs before it can train, and the order of its teardown."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mrc_values.terraform_outputs import Built

NAMESPACE = "kube-system"

AUTOSCALER = "cluster-autoscaler"
AUTOSCALER_REPOSITORY = "https://kubernetes.github.io/autoscaler"
AUTOSCALER_CHART = "9.59.0"
"""Version of the chart, whose values ``addons`` sets. The program's version follows from the cluster's."""

AUTOSCALER_PATCHES = {"1.33": 6, "1.34": 5, "1.35": 2, "1.36": 1}
"""Patch release of the program for each minor version of Kubernetes; 0, which always exists, for others."""

TIMEOUT = "5m"
"""Time for the pods of an add-on to become ready; helm's notation."""

_OWN = ("eks-addons", AUTOSCALER, "mpijob")
_SUITE = ("maskrcnn", "maskrcnn-optimized", "jupyter", "tensorboard", "serve", "stage-data", "sagemaker")
"""Names of charts."""


@dataclass(frozen=True)
class Addon:
    """A Helm release; ``arguments`` are those of ``helm upgrade --install`` without its namespace."""

    name: str
    namespace: str
    arguments: tuple[str, ...]


def addons(built: Built, charts: Path, autoscaler_chart: str | None = None) -> list[Addon]:
    """The releases of a cluster, in the order of their installation.

    ``charts`` is the directory of this suite's charts. ``autoscaler_chart`` is a chart as helm names it; None
    for the pinned one of the autoscaler's own repository.
    """
    own = charts / "eks-addons", charts / "mpijob"
    source = [autoscaler_chart] if autoscaler_chart else [AUTOSCALER, f"--repo={AUTOSCALER_REPOSITORY}"]
    source += [] if autoscaler_chart else [f"--version={AUTOSCALER_CHART}"]
    wait = ["--wait", f"--timeout={TIMEOUT}"]
    return [
        Addon("eks-addons", NAMESPACE, (str(own[0]),)),
        Addon(AUTOSCALER, NAMESPACE, (*source, *(f"--set={value}" for value in _autoscaler(built)), *wait)),
        Addon("mpijob", "default", (str(own[1]), *wait)),
    ]


def _autoscaler(built: Built) -> list[str]:
    """Values of the chart cluster-autoscaler. EKS tags the Auto Scaling groups of its node groups for it."""
    return [
        f"autoDiscovery.clusterName={built.cluster}",
        f"awsRegion={built.region}",
        # Its minor version is the cluster's: it simulates that version's scheduler.
        f"image.tag=v{built.version}.{AUTOSCALER_PATCHES.get(built.version, 0)}",
        # The name to which terraform/modules/cluster gives a role (EKS Pod Identity).
        f"rbac.serviceAccount.name={AUTOSCALER}",
    ]


Releases = list[Mapping[str, str]]


def split(
    releases: Iterable[Mapping[str, str]], ours: Collection[tuple[str, str]]
) -> tuple[Releases, Releases, Releases]:
    """Releases of Helm's list: the suite's, the add-ons, and others, the first two in the order of deletion.

    The operator is deleted after the jobs, whose pods it cleans up, and the device plugins last. ``ours``:
    namespaces and names of those that are known as the suite's by their objects.
    """
    users, own, others = [], [], []
    for release in releases:
        chart = release["chart"].rpartition("-")[0]
        if chart in _OWN:
            own.append((-_OWN.index(chart), release))
        elif chart in _SUITE or (release["namespace"], release["name"]) in ours:
            users.append(release)
        else:
            others.append(release)
    return users, [release for _, release in sorted(own, key=lambda pair: pair[0])], others
