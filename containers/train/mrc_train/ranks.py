"""The processes of one run: Horovod ranks under mpirun, or a single process."""

import ctypes
import os
import sys
from pathlib import Path
from typing import Any, Protocol

LIBRARY = "libmpi.so.40"
"""The soname of Open MPI 4."""


class Ranks(Protocol):
    """The rank of this process, and the exchange of Python objects with the others."""

    rank: int
    size: int

    def gather(self, value: Any) -> list[Any] | None:
        """Every rank's value in rank order on rank 0, None elsewhere."""

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""

    def max(self, value: int) -> int:
        """The largest value of all ranks, on every rank."""


class SingleProcess:
    """A single process."""

    rank = 0
    size = 1

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def broadcast(self, value: Any) -> Any:
        return value

    def max(self, value: int) -> int:
        return value


class MpiRanks:
    """The ranks of ``mpirun``: Horovod reduces tensors, mpi4py moves Python objects."""

    def __init__(self) -> None:
        _prepare_open_mpi()
        from mpi4py import MPI  # before Horovod, so that both use the same initialised MPI

        self._comm = MPI.COMM_WORLD
        self._largest = MPI.MAX
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()

    def gather(self, value: Any) -> list[Any] | None:
        return self._comm.gather(value, root=0)

    def broadcast(self, value: Any) -> Any:
        return self._comm.bcast(value, root=0)

    def max(self, value: int) -> int:
        return int(self._comm.allreduce(value, op=self._largest))


def _prepare_open_mpi() -> None:
    """Make Open MPI from PyPI usable beside TensorFlow, and without a launcher."""
    own = Path(sys.prefix) / "lib" / LIBRARY
    if "OMPI_COMM_WORLD_SIZE" not in os.environ and own.exists():
        # Without mpirun it searches for its files in the directory where it was built.
        os.environ.setdefault("OPAL_PREFIX", sys.prefix)
    # Open MPI and UCX, which comes with it, would catch signals that TensorFlow catches and warns about.
    os.environ.setdefault("UCX_ERROR_SIGNALS", "")
    os.environ.setdefault("OMPI_MCA_opal_signal", "")
    # TensorFlow exports its own copy of hwloc. If Open MPI were bound to that one later, it would crash in
    # MPI_Finalize: bind all of its symbols now, and hide them from TensorFlow.
    ctypes.CDLL(str(own) if own.exists() else LIBRARY, mode=os.RTLD_NOW | os.RTLD_LOCAL)
