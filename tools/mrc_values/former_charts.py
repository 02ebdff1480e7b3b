"""Where the values of the tutorial's newest training chart belong.

The chart is mpijob-horovod-tensorflow-gpu of the tutorial's repository, with the names of commit 1bbe76e19.
It has no sections for the trainer and the servers, and its sections have names that other charts use too, so
each is recognized by a key in it.
"""

from typing import Any

_SECTIONS = {
    "resources": (
        ("gpu_nodes", "gpus_per_node", "gpu_instance_type"),
        "These are maskrcnn.gpu_nodes, gpus_per_node and node_group. Set maskrcnn.gpus too.",
    ),
    "train": (
        ("command", "args"),
        "Its script is maskrcnn.train_script; its arguments are values under maskrcnn.",
    ),
    "horovod": (
        ("autotune", "log_level"),
        "These are maskrcnn.horovod_autotune and maskrcnn.horovod_log_level.",
    ),
    "nccl": (("ifname", "debug_level"), "These are maskrcnn.nccl_socket_ifname and maskrcnn.nccl_debug."),
    "tensorflow": (
        ("sys_memory_mb", "mixed_precision", "autotune_threshold", "cpp_min_log_level", "gpu_allocator"),
        "These are maskrcnn.tf_device_min_sys_mem_mb and tf_enable_auto_mixed_precision; "
        "set the others as variables in maskrcnn.env.",
    ),
    "mpirun": (("env", "args"), "These are maskrcnn.env and maskrcnn.mpirun_args."),
    "git": (("repo_url",), "Put the code into the container image, maskrcnn.image."),
}
_LISTS = {
    "pvc": "Set maskrcnn.data_fs and data_pvc, and global.shared_fs and shared_pvc.",
    "pre_script": "Put preparations into the container image, or into maskrcnn.init_containers.",
    "post_script": "There is no value for commands after the training.",
}


def hint(name: str, value: Any) -> str:
    """Where the values of a section of that chart belong; empty if it is not one of them."""
    if isinstance(value, list):
        return _LISTS.get(name, "")
    keys, text = _SECTIONS.get(name, ((), ""))
    return text if isinstance(value, dict) and any(key in value for key in keys) else ""
