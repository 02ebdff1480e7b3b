"""The network that NCCL uses, from its lines in the log (NCCL_DEBUG=INFO).

The lines, from logs of real clusters and from the sources:

- ``NCCL INFO NET/OFI Selected Provider is efa (found 4 nics)`` from older versions of aws-ofi-nccl, and
``NET/OFI Selected
  provider is efa, fabric is efa-direct (found 16 nics)`` from newer ones (function
  nccl_net_ofi_query_provider_capabilities; github.com/NVIDIA/nccl/issues/1597,
  github.com/aws/aws-ofi-nccl/issues/22).
- ``NCCL INFO Using network AWS Libfabric``, ``Libfabric``, ``Socket``, ``IB`` (NCCL, src/plugin/net.cc;
  github.com/NVIDIA/nccl/issues/1053).
- ``NCCL INFO NET/Socket : Using [0]eth0:10.0.0.1<0>`` (github.com/NVIDIA/nccl/issues/226).
- ``NCCL WARN NET/OFI Couldn't find any optimal provider`` (github.com/NVIDIA/nccl/issues/229).
- ``NCCL INFO NET/Plugin: Could not find: libnccl-net.so`` (NCCL, src/plugin/plugin_open.cc), before 2.24
  ``NET/Plugin : No plugin found (libnccl-net.so)`` (github.com/NVIDIA/nccl/issues/352 and 1231).
- ``NET/OFI Initializing aws-ofi-nccl 1.21.1`` (aws-ofi-nccl, src/nccl_ofi_net.cpp), in older versions
  ``NET/OFI Using aws-ofi-nccl 1.4.0aws`` (github.com/NVIDIA/nccl/issues/527), and then, without a device,
  ``NET/OFI No eligible providers were found``.
- ``Channel 00/0 : 0[0] -> 8[0] [send] via NET/AWS Libfabric/0/GDRDMA``
  (github.com/aws/aws-ofi-nccl/issues/64); without ``GDRDMA`` the data goes through the host's memory.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_PROVIDER = re.compile(r"NET/OFI.* Selected provider is (\w+)(?:.*found (\d+) nics)?", re.IGNORECASE)
_NETWORK = re.compile(r"NCCL INFO Using network (.+?)\s*$")
_CHANNEL = re.compile(r"NCCL INFO (?:Channel|Ring) .* via NET/([\w ]+?)/\d+(/GDRDMA)?")
_SOCKET = re.compile(r"NCCL INFO NET/Socket ?: Using ")
_NONE_OPTIMAL = re.compile(r"NET/OFI (?:Couldn't|Could not|Unable to) find any optimal provider")
_NO_PLUGIN = re.compile(r"NET/Plugin ?: .*(?:Could not find:.*libnccl-net|No plugin found)")
_PLUGIN = re.compile(r"NET/OFI (?:Initializing|Using) aws-ofi-nccl (\S+)")
ANY = re.compile(r"NCCL (?:INFO|WARN|version)|NET/OFI")
"""Matches every line of NCCL."""


@dataclass(frozen=True)
class Transport:
    """The network between nodes.

    Attributes:
        network: ``efa``, ``tcp``, ``infiniband``, ``libfabric``, or ``""`` when the log does not contain it.
        nics: number of network interfaces per rank.
        gpu_direct: whether data is sent directly from GPU memory; None before the first channel exists.
        line: the line that names the network.
        plugin: version of aws-ofi-nccl, ``""`` when NCCL found no network plugin, or None when the log does
            not tell.
    """

    network: str = ""
    nics: int | None = None
    gpu_direct: bool | None = None
    line: str = ""
    plugin: str | None = None


def transport(lines: Iterable[str]) -> Transport:
    """The slowest network among the ranks, which determines the speed of the job."""
    chosen: dict[str, str] = {}
    nics: list[int] = []
    direct: list[bool] = []
    plugin: str | None = None
    for line in lines:
        if "NET" not in line and "Using network" not in line:
            continue
        if match := _PROVIDER.search(line):
            chosen.setdefault(_of_provider(match[1]), line)
            nics += [int(match[2])] if match[2] else []
        elif match := _PLUGIN.search(line):
            plugin = plugin if plugin == "" else match[1]
        elif _NO_PLUGIN.search(line):
            plugin = ""
        elif match := _CHANNEL.search(line):
            direct.append(match[2] is not None)
            if match[1] == "Socket":
                chosen.setdefault("tcp", line)
        elif match := _NETWORK.search(line):
            chosen.setdefault(_of_network(match[1]), line)
        elif _NONE_OPTIMAL.search(line) or _SOCKET.search(line):
            chosen.setdefault("", line)
    if "" in chosen and len(chosen) == 1:
        chosen["tcp"] = chosen[""]
    for network in ("tcp", "efa", "infiniband", "libfabric"):
        if network in chosen:
            return Transport(
                network,
                min(nics, default=None),
                all(direct) if direct else None,
                _bare(chosen[network]),
                plugin,
            )
    return Transport(plugin=plugin)


def advice(used: Transport, efa: int, workers: int) -> str:
    """A warning about TCP between nodes, or empty; ``efa`` is the number of interfaces per worker."""
    if used.network != "tcp" or workers < 2:
        return ""
    if not efa:
        return (
            "NCCL uses TCP: the workers request no EFA interface. On p3dn, p4d and g5 nodes set "
            "maskrcnn.node_group, or maskrcnn.efa."
        )
    start = "NCCL uses TCP although the workers have EFA."
    if used.plugin == "":
        return (
            f"{start} The image has no plugin for it: use an image with aws-ofi-nccl and libfabric, such as "
            "train-gpu-efa of mrc-images, with libnccl-net.so in the linker's path."
        )
    if used.plugin:
        return (
            f"{start} aws-ofi-nccl {used.plugin} found no EFA device: check that libfabric has the efa "
            "provider, that the node's driver is loaded, and FI_PROVIDER."
        )
    return (
        f"{start} Check that the image has aws-ofi-nccl and libfabric with the efa provider, and that its "
        "LD_LIBRARY_PATH names them."
    )


def sentence(used: Transport) -> str:
    """``EFA, 4 interfaces per rank, GPUDirect RDMA``, or empty when the network is unknown."""
    words = {"efa": "EFA", "tcp": "TCP", "infiniband": "InfiniBand", "libfabric": "libfabric"}
    if not used.network:
        return ""
    parts = [words[used.network]]
    if used.nics is not None:
        parts.append(f"{used.nics} interface{'' if used.nics == 1 else 's'} per rank")
    if used.gpu_direct is not None and used.network != "tcp":
        parts.append("GPUDirect RDMA" if used.gpu_direct else "through the host's memory")
    return ", ".join(parts)


def words(lines: Sequence[str]) -> list[str]:
    """The lines that name a network."""
    patterns = (_PROVIDER, _NETWORK, _CHANNEL, _SOCKET, _NONE_OPTIMAL, _NO_PLUGIN, _PLUGIN)
    return [line for line in lines if any(pattern.search(line) for pattern in patterns)]


def _of_provider(provider: str) -> str:
    lower = provider.lower()
    if lower.startswith("efa"):
        return "efa"
    return "tcp" if lower.startswith(("tcp", "socket")) else "libfabric"


def _of_network(network: str) -> str:
    lower = network.lower()
    if lower == "socket":
        return "tcp"
    return "infiniband" if lower.startswith("ib") else "libfabric"


def _bare(line: str) -> str:
    """The line without mpirun's tag and the process ids, which differ between ranks."""
    return line[line.index("NC") :].strip() if "NCCL" in line else line.strip()
