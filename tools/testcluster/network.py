"""The link between the host and a cluster's network. Only the host can reach the cluster."""

import subprocess
from dataclasses import dataclass

from testcluster.errors import ClusterError

MAX_CLUSTERS = 64


@dataclass(frozen=True)
class Link:
    """A point-to-point link, with addresses of the range for benchmarks (RFC 2544)."""

    number: int

    @property
    def name(self) -> str:
        """Name of the host's end. The cluster's end is eth0."""
        return f"mrc{self.number}"

    @property
    def host(self) -> str:
        """Address of the host's end."""
        return f"198.18.{self.number}.1"

    @property
    def cluster(self) -> str:
        """Address of the cluster's end."""
        return f"198.18.{self.number}.2"


def connect(pid: int) -> Link:
    """Links the host with the network namespace of a process. Raises ClusterError."""
    for number in range(MAX_CLUSTERS):
        link = Link(number)
        made = _ip("link", "add", link.name, "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        if made.returncode and "File exists" not in made.stderr:
            raise ClusterError(f"ip link add {link.name} failed: {made.stderr.strip()}")
        if made.returncode == 0:
            _ip("addr", "add", f"{link.host}/30", "dev", link.name).check_returncode()
            _ip("link", "set", link.name, "up").check_returncode()
            return link
    raise ClusterError(f"{MAX_CLUSTERS} links mrc0, mrc1, ... already exist. Stop some clusters.")


def disconnect(name: str) -> None:
    """Removes a link if it still exists: the kernel removes it some time after the cluster's network."""
    _ip("link", "del", name)


def _ip(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["ip", *arguments], capture_output=True, text=True)
