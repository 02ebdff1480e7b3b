"""From a rendered MPIJob to the command that its launcher would run, adapted to this machine.

Pure functions: manifests and directories in, an argument list and an environment out.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrc_cli.errors import UserError

from mrc_values.manifests import objects

MOUNT_VARIABLES = ("SHARED_FS", "DATA_FS")
"""Variables of the launcher that name mounted file systems; local mode sets them to directories."""


@dataclass(frozen=True)
class Launcher:
    """The launcher's container of a rendered MPIJob. ``env`` keeps the manifest's order."""

    job: str
    namespace: str
    command: tuple[str, ...]
    args: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    working_dir: str


def launcher_of(rendered: Mapping[str, str]) -> Launcher:
    """The launcher among rendered templates (text by path).

    Raises UserError for what local mode cannot run: no MPIJob or several, init containers, several
    containers, variables whose values only a cluster can provide.
    """
    jobs = [item for item in objects(rendered) if item.get("kind") == "MPIJob"]
    if len(jobs) != 1:
        raise UserError(f"the chart renders {len(jobs)} MPIJobs; local mode needs exactly one.")
    job = jobs[0]
    name = str(job["metadata"]["name"])
    try:
        pod = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]
        containers = pod["containers"]
    except (KeyError, TypeError):
        raise UserError(
            f"MPIJob {name} has no launcher; local mode needs spec.mpiReplicaSpecs.Launcher."
        ) from None
    if len(containers) != 1 or pod.get("initContainers"):
        raise UserError(f"the launcher of MPIJob {name} has several containers; local mode can run only one.")
    container = containers[0]
    if not container.get("command"):
        raise UserError(
            f"the launcher of MPIJob {name} has no command, and local mode cannot take the image's."
        )
    return Launcher(
        job=name,
        namespace=str(job["metadata"].get("namespace", "default")),
        command=tuple(map(str, container["command"])),
        args=tuple(map(str, container.get("args", ()))),
        env=tuple(_variables(container, job)),
        working_dir=str(container.get("workingDir", "")),
    )


def expand(text: str, variables: Mapping[str, str]) -> str:
    """Expand ``$(NAME)`` as Kubernetes does: ``$$`` is a dollar sign, an unknown name is left unchanged."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replacement, text)


def environment(launcher: Launcher, mounts: Mapping[str, Path]) -> dict[str, str]:
    """The container's variables, with directories (by names in MOUNT_VARIABLES) in place of its mounts.

    As in a pod, a variable can refer only to variables before it.
    """
    variables = {name: str(directory) for name, directory in mounts.items()}
    for name, value in launcher.env:
        if name not in mounts:
            variables[name] = expand(value, variables)
    return variables


def command_line(launcher: Launcher, variables: Mapping[str, str]) -> list[str]:
    """Command and arguments with the container's variables expanded."""
    return [expand(part, variables) for part in (*launcher.command, *launcher.args)]


def run_dir(launcher: Launcher, shared_fs: Path) -> Path:
    """The run directory, for logs and checkpoints: ``<shared fs>/<namespace>/<MPIJob name>``."""
    return shared_fs / launcher.namespace / launcher.job


def _variables(container: dict[str, Any], job: dict[str, Any]) -> Iterable[tuple[str, str]]:
    if container.get("envFrom"):
        raise UserError(
            "the launcher takes variables from a ConfigMap or Secret (envFrom), which requires a cluster."
        )
    metadata = job["metadata"]
    fields = {
        "metadata.name": f"{metadata['name']}-launcher",
        "metadata.namespace": metadata.get("namespace", "default"),
    }
    for item in container.get("env") or ():
        source = item.get("valueFrom")
        if source is None:
            yield str(item["name"]), str(item.get("value", ""))
            continue
        field = (source.get("fieldRef") or {}).get("fieldPath")
        if field not in fields:
            kind = next(iter(source), "valueFrom")
            raise UserError(
                f"the launcher's variable {item['name']} comes from a {kind}, which requires a cluster."
            )
        yield str(item["name"]), str(fields[field])
