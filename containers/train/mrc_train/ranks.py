"""The processes of one training job: Horovod ranks under mpirun, or one process alone."""

import os
import sys
from pathlib import Path
from typing import Any, Protocol


class Ranks(Protocol):
    """Who this process is and how it exchanges Python objects with the others."""

    rank: int
    size: int

    def gather(self, value: Any) -> list[Any] | None:
        """Every rank's value in rank order on rank 0, None elsewhere."""

    def broadcast(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""


class SingleProcess:
    """One process alone."""

    rank = 0
    size = 1

    def gather(self, value: Any) -> list[Any]:
        return [value]

    def broadcast(self, value: Any) -> Any:
        return value


class MpiRanks:
    """The ranks of ``mpirun``: Horovod reduces tensors, mpi4py moves Python objects."""

    def __init__(self) -> None:
        _find_open_mpi()
        from mpi4py import MPI  # before Horovod, so that both use the same initialised MPI

        self._comm = MPI.COMM_WORLD
        self.rank = self._comm.Get_rank()
        self.size = self._comm.Get_size()

    def gather(self, value: Any) -> list[Any] | None:
        return self._comm.gather(value, root=0)

    def broadcast(self, value: Any) -> Any:
        return self._comm.bcast(value, root=0)


def _find_open_mpi() -> None:
    """Without a launcher, Open MPI from PyPI looks for itself where it was built."""
    launched = "OMPI_COMM_WORLD_SIZE" in os.environ
    if not launched and (Path(sys.prefix) / "lib" / "libmpi.so.40").exists():
        os.environ.setdefault("OPAL_PREFIX", sys.prefix)
