"""Checks whether the run can be installed, as the chart does on an upgrade, but before Helm is called."""

from collections.abc import Iterator

from mrc_values.cluster import client
from mrc_values.cluster.client import Resource
from mrc_values.cluster.job import SETTINGS, State, state
from mrc_values.cluster.objects import Object, at, name, text
from mrc_values.cluster.preflight.planned import (
    RELEASE,
    RELEASE_NAMESPACE,
    ClusterReader,
    PlannedRelease,
    Problem,
)

JOBS = Resource("/apis/batch/v1", "jobs")


def run_is_new(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """The job does not exist, or has the same settings and belongs to this release."""
    for job in planned.of_kind("MPIJob"):
        namespace = text(job, "metadata", "namespace")
        live = reader.cluster.find(client.MPIJOBS, name(job), namespace)
        if live is None:
            continue
        notes = at(live, "metadata", "annotations")
        owner = f"{notes.get(RELEASE_NAMESPACE, '')}/{notes.get(RELEASE, '')}"
        if owner != f"{planned.namespace}/{planned.release}":
            whose = "no release" if owner == "/" else f"the release {owner}"
            message = f"the job {namespace}/{name(job)} already exists and belongs to {whose}."
            yield Problem("MRC106", "maskrcnn.name", message, "Use another name, or delete that job.")
        elif _settings(live, namespace, reader) not in (
            None,
            at(job, "metadata", "annotations").get(SETTINGS),
        ):
            yield Problem(
                "MRC106",
                "maskrcnn.run",
                f"the run {namespace}/{name(job)} exists with other settings, and a job that exists cannot "
                "take new ones.",
                "Set maskrcnn.run for a new run, or delete and install to resume with other settings.",
            )


def no_live_run_is_ended(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """An upgrade deletes only jobs that have ended, or whose end the user has requested."""
    is_part = planned.release_objects is not None
    objects = planned.objects if planned.release_objects is None else planned.release_objects
    jobs = [item for item in objects if item.get("kind") == "MPIJob"]
    kept = {(text(job, "metadata", "namespace"), name(job)) for job in jobs}
    # A chart that an upgrade disables has no objects left.
    namespaces = {*planned.namespaces, planned.namespace, planned.values.text("global.namespace")} - {""}
    for namespace in sorted(namespaces) if planned.upgrade else ():
        for job in _jobs(reader, namespace):
            notes = at(job, "metadata", "annotations")
            owner = (notes.get(RELEASE_NAMESPACE), notes.get(RELEASE))
            current = state(job)
            if (
                owner != (planned.namespace, planned.release)
                or (namespace, name(job)) in kept
                or current in (State.FINISHED, State.FAILED, State.DELETED)
                or name(job) in planned.runs_to_end
            ):
                continue
            yield Problem(
                "MRC107",
                "" if is_part else "maskrcnn.run",  # each part finds the runs of all
                f"the upgrade would delete the run {namespace}/{name(job)}, which is {current}.",
                f"Wait until it has finished, add --end-run {name(job)} to end it, "
                "or install the new run as a second release.",
            )


def _jobs(reader: ClusterReader, namespace: str) -> list[Object]:
    """The MPIJobs in a namespace; none when the cluster does not have the kind."""
    try:
        return list(reader.cluster.list(client.MPIJOBS, namespace))
    except client.NotFound:
        return []


def _settings(live: Object, namespace: str, reader: ClusterReader) -> str | None:
    """The settings of a job: those of its launcher once it exists."""
    launcher = reader.cluster.find(JOBS, f"{name(live)}-launcher", namespace)
    made_with = at(launcher, "spec", "template", "metadata", "annotations").get(SETTINGS)
    result: str | None = made_with or at(live, "metadata", "annotations").get(SETTINGS)
    return result
