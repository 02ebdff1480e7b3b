"""Which network NCCL uses, by its own words in the log (NCCL_DEBUG=INFO).

The words, as they stand in logs of real clusters and in the sources:

- ``NCCL INFO NET/OFI Selected Provider is efa (found 4 nics)`` of older aws-ofi-nccl, and ``NET/OFI Selected
  provider is efa, fabric is efa-direct (found 16 nics)`` of newer ones (its function
  nccl_net_ofi_query_provider_capabilities; github.com/NVIDIA/nccl/issues/1597,
  github.com/aws/aws-ofi-nccl/issues/22).
- ``NCCL INFO Using network AWS Libfabric``, ``Libfabric``, ``Socket``, ``IB`` (NCCL, src/plugin/net.cc;
  github.com/NVIDIA/nccl/issues/1053).
- ``NCCL INFO NET/Socket : Using [0]eth0:10.0.0.1<0>`` (github.com/NVIDIA/nccl/issues/226).
- ``NCCL WARN NET/OFI Couldn't find any optimal provider`` (github.com/NVIDIA/nccl/issues/229).
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
ANY = re.compile(r"NCCL (?:INFO|WARN|version)|NET/OFI")
"""Whether a line is one of NCCL's."""


@dataclass(frozen=True)
class Transport:
    """What goes between nodes: ``efa``, ``tcp``, ``infiniband``, ``libfabric``; ``""``: the log does not say.

    ``nics`` is how many a rank has found; ``gpu_direct`` whether data goes from GPU to network card without
    the host's memory, None when no channel has been made. ``line`` is the proof.
    """

    network: str = ""
    nics: int | None = None
    gpu_direct: bool | None = None
    line: str = ""


def transport(lines: Iterable[str]) -> Transport:
    """The slowest network that any rank has chosen: ranks of one job have to choose the same."""
    chosen: dict[str, str] = {}
    nics: list[int] = []
    direct: list[bool] = []
    for line in lines:
        if "NET" not in line and "Using network" not in line:
            continue
        if found := _PROVIDER.search(line):
            chosen.setdefault(_of_provider(found[1]), line)
            nics += [int(found[2])] if found[2] else []
        elif found := _CHANNEL.search(line):
            direct.append(found[2] is not None)
            if found[1] == "Socket":
                chosen.setdefault("tcp", line)
        elif found := _NETWORK.search(line):
            chosen.setdefault(_of_network(found[1]), line)
        elif _NONE_OPTIMAL.search(line) or _SOCKET.search(line):
            chosen.setdefault("", line)
    if "" in chosen and len(chosen) == 1:
        chosen["tcp"] = chosen[""]
    for network in ("tcp", "efa", "infiniband", "libfabric"):
        if network in chosen:
            return Transport(
                network, min(nics, default=None), all(direct) if direct else None, _bare(chosen[network])
            )
    return Transport()


def advice(found: Transport, efa: int, workers: int) -> str:
    """What to do about a network: a warning for TCP between nodes that have EFA, else empty.

    ``efa`` is how many EFA interfaces a worker asks for.
    """
    if found.network != "tcp" or workers < 2:
        return ""
    if not efa:
        return (
            "NCCL uses TCP: the workers ask for no EFA interface. On p3dn, p4d and g5 nodes set "
            "maskrcnn.node_group, or maskrcnn.efa."
        )
    return (
        "NCCL uses TCP although the workers have EFA. See that the image has aws-ofi-nccl and libfabric with "
        "the efa provider, and that its LD_LIBRARY_PATH names them."
    )


def sentence(found: Transport) -> str:
    """``EFA, 4 interfaces, GPUDirect RDMA``; empty when the log does not say."""
    words = {"efa": "EFA", "tcp": "TCP", "infiniband": "InfiniBand", "libfabric": "libfabric"}
    if not found.network:
        return ""
    parts = [words[found.network]]
    if found.nics is not None:
        parts.append(f"{found.nics} interface{'' if found.nics == 1 else 's'} a rank")
    if found.gpu_direct is not None and found.network != "tcp":
        parts.append("GPUDirect RDMA" if found.gpu_direct else "through the host's memory")
    return ", ".join(parts)


def words(lines: Sequence[str]) -> list[str]:
    """The lines in which ranks name their network."""
    patterns = (_PROVIDER, _NETWORK, _CHANNEL, _SOCKET, _NONE_OPTIMAL)
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
    """Without mpirun's tag and the process ids, which differ by rank."""
    return line[line.index("NC") :].strip() if "NCCL" in line else line.strip()
