"""Checks whether the data set of a training is being staged, by the jobs of the chart stage-data."""

from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.cluster import staging
from mrc_values.cluster.job import State
from mrc_values.cluster.objects import Object, items, name, text
from mrc_values.cluster.preflight.planned import ClusterReader, PlannedRelease, Problem


def data_is_staged(planned: PlannedRelease, reader: ClusterReader) -> Iterator[Problem]:
    """No job stages into the data directory now, and the newest one that did has not failed.

    Data that came by other means cannot be seen from outside of the pods; ``helm test`` looks for it.
    """
    for job in planned.of_kind("MPIJob"):
        namespace = text(job, "metadata", "namespace")
        place = _place(job, planned)
        jobs = [item for item in staging.jobs(reader.cluster, namespace) if _target(item) == place]
        if not jobs:
            continue
        newest = max(jobs, key=lambda item: text(item, "metadata", "creationTimestamp"))
        state = staging.state(newest)
        done, shards = staging.shards(newest)
        what = f"the job {namespace}/{name(newest)}, {done} of {shards} shards done"
        if state is State.FAILED:
            yield Problem(
                "MRC115",
                "maskrcnn.data_dir",
                f"{place[1]} may be incomplete: {what}, has failed.",
                f"See mrc-values logs {name(newest)}, and install its release again: it fetches only what is "
                "missing.",
                Severity.WARNING,
            )
        elif state is not State.FINISHED:
            yield Problem(
                "MRC115",
                "maskrcnn.data_dir",
                f"{place[1]} is being staged by {what}.",
                f"Run mrc-values wait {name(newest)} --namespace {namespace} first.",
            )


def _place(job: Object, planned: PlannedRelease) -> tuple[str, str]:
    """The claim of the data set, and its directory in the pods."""
    values = planned.values
    fs = values.text("maskrcnn.data_fs") or values.text("global.shared_fs")
    spec = items(job, "spec", "mpiReplicaSpecs", "Worker", "template", "spec", "volumes")
    claims = [
        text(volume, "persistentVolumeClaim", "claimName") for volume in spec if volume.get("name") == fs
    ]
    return next(iter(claims), ""), f"/{fs}/{values.text('maskrcnn.data_dir').rstrip('/')}"


def _target(job: Object) -> tuple[str, str]:
    return staging.claim(job), staging.directory(job)
