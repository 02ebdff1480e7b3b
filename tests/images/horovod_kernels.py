"""Prints as JSON what Horovod was built with, and the devices that its operations have kernels for."""

import json

import horovod.tensorflow as hvd
from tensorflow.python.framework import kernels

OPERATIONS = ("Allreduce", "GroupedAllreduce", "Allgather", "Broadcast", "Alltoall", "Reducescatter")

devices = {
    name: sorted(
        {kernel.device_type for kernel in kernels.get_registered_kernels_for_op(f"Horovod{name}").kernel}
    )
    for name in OPERATIONS
}
print(
    json.dumps(
        {"nccl": hvd.nccl_built(), "mpi": hvd.mpi_built(), "gloo": hvd.gloo_built(), "devices": devices}
    )
)
