"""Environment variables of a training on CPUs."""

import os

CPU_ENVIRONMENT = {
    # There are usually more ranks than cores, and Open MPI polls while it waits.
    "OMPI_MCA_mpi_yield_when_idle": "1",
    # Horovod reduces small buffers faster.
    "HOROVOD_FUSION_THRESHOLD": "4194304",
    # Milliseconds. With Horovod's default of 1, its thread wakes hundreds of times in a step, and where other
    # programs compute as well, it waits for a core each time.
    "HOROVOD_CYCLE_TIME": "10",
    # TensorFlow itself uses oneDNN only on CPUs with AVX512_VNNI or newer.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    # Without it, several threads add in varying order, and last digits differ between runs.
    "TF_DETERMINISTIC_OPS": "1",
}


def set_defaults() -> None:
    """Set these variables where the user has not; before MPI starts and before TensorFlow is imported."""
    for name, value in CPU_ENVIRONMENT.items():
        os.environ.setdefault(name, value)
