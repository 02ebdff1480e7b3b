"""From a rendered MPIJob to the command that its launcher would run, on this machine.

Pure: takes manifests and folders, returns an argument list and an environment.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mrc_cli.errors import UserError

from mrc_values.manifests import objects

CHART_FOLDERS = ("SHARED_FS", "DATA_FS")
"""Variables of the launcher that name mounted file systems; local mode sets them to folders."""


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
    containers, an environment that only a cluster can give.
    """
    jobs = [item for item in objects(rendered) if item.get("kind") == "MPIJob"]
    if len(jobs) != 1:
        raise UserError(f"the chart renders {len(jobs)} MPIJobs; local mode runs exactly one.")
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
        raise UserError(f"the launcher of MPIJob {name} has several containers; local mode runs exactly one.")
    container = containers[0]
    if not container.get("command"):
        raise UserError(
            f"the launcher of MPIJob {name} has no command, and local mode has no image to take it from."
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
    """``$(NAME)`` as Kubernetes expands it: ``$$`` is a dollar sign, an unknown name stays as it is."""

    def replacement(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else variables.get(match[1], match[0])

    return re.sub(r"\$\$|\$\(([^)]*)\)", replacement, text)


def environment(launcher: Launcher, folders: Mapping[str, Path]) -> dict[str, str]:
    """The container's variables, ``folders`` (by CHART_FOLDERS name) in place of its mounts.

    As in a pod, a variable may use those above it.
    """
    variables = {name: str(folder) for name, folder in folders.items()}
    for name, value in launcher.env:
        if name not in folders:
            variables[name] = expand(value, variables)
    return variables


def command_line(launcher: Launcher, variables: Mapping[str, str]) -> list[str]:
    """Command and arguments with the container's variables put in."""
    return [expand(part, variables) for part in (*launcher.command, *launcher.args)]


def run_folder(launcher: Launcher, shared_fs: Path) -> Path:
    """Where the run keeps logs and checkpoints: ``<shared fs>/<namespace>/<MPIJob name>``."""
    return shared_fs / launcher.namespace / launcher.job


def _variables(container: dict[str, Any], job: dict[str, Any]) -> Iterable[tuple[str, str]]:
    if container.get("envFrom"):
        raise UserError(
            "the launcher takes variables from a ConfigMap or Secret (envFrom), which needs a cluster."
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
                f"the launcher's variable {item['name']} comes from a {kind}, which needs a cluster."
            )
        yield str(item["name"]), str(fields[field])
