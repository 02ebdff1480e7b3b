"""Volumes, variables and arguments of the user."""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Violation, rule

_TAKEN = ("efs", "fsx", "shm", "ssh-auth", "mpi-job-config")
"""Volumes that the chart, or the MPI Operator (pkg/controller/mpi_job_controller.go), adds to pods."""


@rule(
    "MRC036",
    Severity.ERROR,
    "every mount has a volume",
    failing="maskrcnn: {extra_volume_mounts: [{name: scratch, mountPath: /scratch}]}",
    passing="maskrcnn:\n"
    "  extra_volumes: [{name: scratch, emptyDir: {}}]\n"
    "  extra_volume_mounts: [{name: scratch, mountPath: /scratch}]",
)
def mounts_have_volumes(context: Context) -> Iterator[Violation]:
    """A mount refers to a volume by its name, and volumes of a pod have different names. The API server does
    not check the pods of an MPIJob, so the operator would only fail to create them. A volume that nothing
    mounts is probably a misspelled name."""
    if context.rejected("maskrcnn.extra_volumes", "maskrcnn.extra_volume_mounts"):
        return
    volumes, mounts = _objects(context, "extra_volumes"), _objects(context, "extra_volume_mounts")
    names = [str(volume.get("name", "")) for volume in volumes]
    for i, name in enumerate(names):
        where = f"maskrcnn.extra_volumes[{i}]"
        if not name:
            yield Violation(where, "has no name.", "Add one, for example name: scratch.")
        elif name in _TAKEN or name.startswith("env-from-"):
            fix = "Rename the volume and its mounts."
            yield Violation(f"{where}.name", f"the name {name} is already in use.", fix)
        elif name in names[:i]:
            yield Violation(f"{where}.name", f"there are two volumes called {name}.", "Rename one.")
    values = context.values
    shared_fs = values.text("global.shared_fs")
    known = [*names, shared_fs, values.text("maskrcnn.data_fs") or shared_fs]
    used = []
    init = [
        (f"maskrcnn.init_containers[{i}].volumeMounts[{j}]", mount)
        for i, container in enumerate(_objects(context, "init_containers"))
        for j, mount in enumerate(_mappings(container.get("volumeMounts")))
    ]
    own = [(f"maskrcnn.extra_volume_mounts[{i}]", mount) for i, mount in enumerate(mounts)]
    for where, mount in [*own, *init]:
        name = str(mount.get("name", ""))
        used.append(name)
        if name not in known:
            fix = f"Add it to extra_volumes, or mount one of {', '.join(sorted({*known} - {''}))}."
            yield Violation(where, f"there is no volume {name}." if name else "names no volume.", fix)
    for i, name in enumerate(names):
        if name and name not in (*used, *_TAKEN):
            yield Violation(
                f"maskrcnn.extra_volumes[{i}]",
                f"the volume {name} is not mounted.",
                f"Add {{name: {name}, mountPath: /{name}}} to extra_volume_mounts, or remove it.",
                Severity.WARNING,
            )


@rule(
    "MRC037",
    Severity.ERROR,
    "mount paths are absolute and free",
    failing="maskrcnn:\n"
    "  extra_volumes: [{name: scratch, emptyDir: {}}]\n"
    "  extra_volume_mounts: [{name: scratch, mountPath: /efs}]",
    passing="maskrcnn:\n"
    "  extra_volumes: [{name: scratch, emptyDir: {}}]\n"
    "  extra_volume_mounts: [{name: scratch, mountPath: /scratch}]",
)
def mount_paths_are_free(context: Context) -> Iterator[Violation]:
    """A path can be mounted once in a container. The chart mounts the file systems at /efs and /fsx and
    shared memory at /dev/shm; the MPI Operator mounts its configuration and the ssh key of the job. A mount
    above one of them hides it."""
    values = context.values
    shared_fs = values.text("global.shared_fs")
    data_fs = values.text("maskrcnn.data_fs") or shared_fs
    # As in charts/maskrcnn/templates/_job.tpl and _checks.tpl.
    ssh = "/home/mpiuser/.ssh" if values.integer("maskrcnn.run_as_user") else "/root/.ssh"
    taken = {f"/{shared_fs}", f"/{data_fs}", "/dev/shm", "/etc/mpi", "/etc/env-from", ssh}  # noqa: S108
    mounts = [
        (i, PurePosixPath(mount["mountPath"]))
        for i, mount in enumerate(_objects(context, "extra_volume_mounts"))
        if isinstance(mount.get("mountPath"), str)
    ]
    counts = Counter(path for _, path in mounts)
    for i, path in mounts:
        where = f"maskrcnn.extra_volume_mounts[{i}].mountPath"
        hidden = sorted(item for item in taken if PurePosixPath(item).is_relative_to(path))
        if not path.is_absolute():
            yield Violation(where, f"{path} is not an absolute path.", f"Write /{path}.")
        elif str(path) in taken or counts[path] > 1:
            yield Violation(where, f"{path} is mounted twice.", "Choose another mountPath.")
        elif hidden:
            yield Violation(where, f"it would hide {hidden[0]}.", "Choose another mountPath.")


@rule(
    "MRC038",
    Severity.ERROR,
    "each argument of mpirun is an item",
    failing="maskrcnn: {mpirun_args: [--mca btl_tcp_if_include eth0]}",
    passing="maskrcnn: {mpirun_args: [--mca, btl_tcp_if_include, eth0]}",
)
def mpirun_gets_arguments(context: Context) -> Iterator[Violation]:
    """The arguments are not split by a shell: mpirun would look for an option whose name contains the
    blanks. The chart sets the number of ranks and the operator the hosts, so options for those contradict
    them."""
    arguments = context.values.get("maskrcnn.mpirun_args")
    for i, argument in enumerate(arguments if isinstance(arguments, list) else ()):
        if not isinstance(argument, str):
            continue
        where = f"maskrcnn.mpirun_args[{i}]"
        if argument.startswith("-") and len(argument.split()) > 1:
            fix = f"Write {', '.join(argument.split())} as separate items."
            yield Violation(where, f"{argument} is one item with several arguments.", fix)
        elif argument.lstrip("-") in _RANKS_AND_HOSTS and argument.startswith("-"):
            fix = "Remove it; gpus and gpus_per_node decide on the ranks."
            yield Violation(where, f"{argument} is set by the chart and the MPI Operator.", fix)


_RANKS_AND_HOSTS = ("np", "n", "c", "H", "host", "hostfile", "machinefile")


def _objects(context: Context, name: str) -> list[dict[str, Any]]:
    return _mappings(context.values.get(f"maskrcnn.{name}"))


def _mappings(value: object) -> list[dict[str, Any]]:
    """The items of a list, an empty mapping in place of an item that is not one."""
    return [item if isinstance(item, dict) else {} for item in value] if isinstance(value, list) else []
