"""The first process inside the cluster's namespaces: when it ends, for whatever reason, all of it is gone."""

import http.client
import json
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from testcluster import control_plane, node, nodes
from testcluster.errors import ClusterError
from testcluster.operator_pods import OperatorPods
from testcluster.pki import write_kubeconfig
from testcluster.processes import Processes

STATE = Path("/run/cluster")
"""On a file system of the cluster's own, which goes with it."""
STOPPED = "stopped"
"""File in a cluster's folder: names of processes that are not to run for now."""


@dataclass(frozen=True)
class Settings:
    """What the supervisor is told on its standard input.

    ``folder`` is where the kubeconfig and the logs go; ``address`` and ``gateway`` are its own and the host's
    end of the link between them, which is called ``link``; ``programs`` are paths by name; ``nodes`` are
    numbers of simulated nodes by node group, none for a real node.
    """

    folder: str
    address: str
    gateway: str
    link: str
    programs: dict[str, str]
    nodes: dict[str, int]

    def to_json(self) -> str:
        """One line that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str) -> "Settings":
        """What ``to_json`` wrote."""
        return Settings(**json.loads(line))


def main() -> None:
    """Runs a cluster until it is killed, its folder is deleted or one of its processes ends."""
    settings = Settings.from_json(sys.stdin.readline())
    try:
        _run(settings, Path(settings.folder))
    except ClusterError as error:
        sys.exit(f"error: {error}")


def _run(settings: Settings, folder: Path) -> None:
    _mount_state()
    _take_link(settings)
    if not settings.nodes:
        node.prepare(STATE)
    processes = Processes(folder / "logs")
    kube = Path(settings.programs["kube"])
    plane = control_plane.start(processes, kube, settings.address, STATE)
    if settings.nodes:
        nodes.start(processes, Path(settings.programs["kwok"]), plane, settings.nodes)
    else:
        disk = folder / "node"
        node.start(processes, settings.programs, plane, settings.address, disk, settings.link)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    processes.wait("default service account", lambda: bool(plane.api.get(account)))
    kubeconfig = folder / "kubeconfig"
    write_kubeconfig(kubeconfig, plane.authority.kubeconfig("admin", plane.server))
    operator = OperatorPods(plane, Path(settings.programs["mpi-operator"]), processes.logs)
    while kubeconfig.exists():
        processes.check()
        processes.stop_only(_stopped(folder))
        if settings.nodes:
            try:
                operator.sync()
            except (OSError, http.client.HTTPException) as error:
                print(f"operator's pods: {error}", flush=True)
        time.sleep(0.3)


def _stopped(folder: Path) -> list[str]:
    """Names of the processes that a user of the cluster wants stopped for now."""
    try:
        return (folder / STOPPED).read_text().split()
    except FileNotFoundError:
        return []


def _mount_state() -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", "/run"], check=True)
    STATE.mkdir()


def _take_link(settings: Settings) -> None:
    for argv in (
        ["ip", "link", "set", "lo", "up"],
        ["ip", "addr", "add", f"{settings.address}/30", "dev", "eth0"],
        ["ip", "link", "set", "eth0", "up"],
        ["ip", "route", "add", "default", "via", settings.gateway],
    ):
        subprocess.run(argv, check=True)


if __name__ == "__main__":
    main()
