"""The first process in the cluster's namespaces. When it ends, the kernel ends the whole cluster."""

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
"""On a tmpfs in the cluster's mount namespace, so that it disappears with the cluster."""
STOPPED = "stopped"
"""File in a cluster's directory with the names of processes that have to stay stopped."""


@dataclass(frozen=True)
class Settings:
    """Settings that the supervisor reads from its standard input.

    ``directory``: where the kubeconfig and the logs are written;
    ``address``, ``gateway``, ``link``: the cluster's and the host's address on the link, and the link's name;
    ``programs``: paths by name;
    ``nodes``: numbers of simulated nodes by node group, empty for one real node.
    """

    directory: str
    address: str
    gateway: str
    link: str
    programs: dict[str, str]
    nodes: dict[str, int]

    def to_json(self) -> str:
        """Returns one line for ``from_json``."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(line: str) -> "Settings":
        """Parses the line of ``to_json``."""
        return Settings(**json.loads(line))


def main() -> None:
    """Runs a cluster until it is killed, its directory is deleted or one of its processes ends."""
    settings = Settings.from_json(sys.stdin.readline())
    try:
        _run(settings, Path(settings.directory))
    except ClusterError as error:
        sys.exit(f"error: {error}")


def _run(settings: Settings, directory: Path) -> None:
    _mount_state()
    _take_link(settings)
    if not settings.nodes:
        node.prepare(STATE)
    processes = Processes(directory / "logs")
    kube = Path(settings.programs["kube"])
    plane = control_plane.start(processes, kube, settings.address, STATE)
    if settings.nodes:
        nodes.start(processes, Path(settings.programs["kwok"]), plane, settings.nodes)
    else:
        disk = directory / "node"
        node.start(processes, settings.programs, plane, settings.address, disk, settings.link)
    account = "/api/v1/namespaces/default/serviceaccounts/default"
    processes.wait("default service account", lambda: bool(plane.api.get(account)))
    kubeconfig = directory / "kubeconfig"
    write_kubeconfig(kubeconfig, plane.authority.kubeconfig("admin", plane.server))
    operator = OperatorPods(plane, Path(settings.programs["mpi-operator"]), processes.logs)
    while kubeconfig.exists():
        processes.check()
        processes.stop_only(_stopped(directory))
        if settings.nodes:
            try:
                operator.sync()
            except (OSError, http.client.HTTPException) as error:
                print(f"operator pods: {error}", flush=True)
        time.sleep(0.3)


def _stopped(directory: Path) -> list[str]:
    """Returns the names of the processes that have to stay stopped."""
    try:
        return (directory / STOPPED).read_text().split()
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
