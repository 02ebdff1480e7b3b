"""Whether the release may have its run: the guard that the chart has on an upgrade, said before Helm."""

from collections.abc import Iterator

from mrc_values.cluster import client
from mrc_values.cluster.client import Resource
from mrc_values.cluster.objects import Object, at, name, text
from mrc_values.cluster.preflight.planned import RELEASE, RELEASE_NAMESPACE, Planned, Problem, Seen

SETTINGS = "mask-rcnn/settings-sha256"
"""The annotation of a job, and of its launcher, by which the chart sees other settings."""

JOBS = Resource("/apis/batch/v1", "jobs")


def run_is_new(planned: Planned, seen: Seen) -> Iterator[Problem]:
    """A job that exists takes no other settings, and belongs to one release."""
    for job in planned.of_kind("MPIJob"):
        namespace = text(job, "metadata", "namespace")
        live = seen.cluster.find(client.MPIJOBS, name(job), namespace)
        if live is None:
            continue
        notes = at(live, "metadata", "annotations")
        owner = f"{notes.get(RELEASE_NAMESPACE, '')}/{notes.get(RELEASE, '')}"
        if owner != f"{planned.namespace}/{planned.release}":
            whose = "no release" if owner == "/" else f"the release {owner}"
            message = f"the job {namespace}/{name(job)} is there already, of {whose}."
            yield Problem(
                "MRC106", "maskrcnn.name", message, "Give this one another name, or delete that one."
            )
        elif _settings(live, namespace, seen) not in (None, at(job, "metadata", "annotations").get(SETTINGS)):
            yield Problem(
                "MRC106",
                "maskrcnn.run",
                f"the run {namespace}/{name(job)} exists with other settings, and a job that exists cannot "
                "take new ones.",
                "Set maskrcnn.run for a new run, or delete and install to resume with other settings.",
            )


def _settings(live: Object, namespace: str, seen: Seen) -> str | None:
    """The settings that a job runs with: those that its launcher was made with, once there is one."""
    launcher = seen.cluster.find(JOBS, f"{name(live)}-launcher", namespace)
    made_with = at(launcher, "spec", "template", "metadata", "annotations").get(SETTINGS)
    found: str | None = made_with or at(live, "metadata", "annotations").get(SETTINGS)
    return found
