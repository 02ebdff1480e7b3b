"""Environment variables of the ranks."""

import json
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Violation, rule

_VARIABLES = {
    "HOROVOD_CYCLE_TIME": "horovod_cycle_time",
    "HOROVOD_FUSION_THRESHOLD": "horovod_fusion_threshold",
    "HOROVOD_AUTOTUNE": "horovod_autotune",
    "HOROVOD_LOG_LEVEL": "horovod_log_level",
    "NCCL_SOCKET_IFNAME": "nccl_socket_ifname",
    "NCCL_MIN_NRINGS": "nccl_min_rings",
    "NCCL_DEBUG": "nccl_debug",
    "FI_PROVIDER": "fi_provider",
    "FI_EFA_FORK_SAFE": "fi_efa_fork_safe",
    "FI_EFA_USE_DEVICE_RDMA": "fi_efa_use_device_rdma",
    "TF_DEVICE_MIN_SYS_MEMORY_IN_MB": "tf_device_min_sys_mem_mb",
    "TF_ENABLE_AUTO_MIXED_PRECISION": "tf_enable_auto_mixed_precision",
}

_SET_BY_CHART = ("SHARED_FS", "DATA_FS", "RUN_DIR", "SSH_OPTIONS")

# Names that NCCL 2.5 replaced (NCCL's documentation, "Environment Variables").
_DEPRECATED_VARIABLES = {
    "NCCL_MIN_NRINGS": "NCCL_MIN_NCHANNELS",
    "NCCL_MAX_NRINGS": "NCCL_MAX_NCHANNELS",
    "NCCL_TREE_THRESHOLD": "NCCL_ALGO",
    "NCCL_LL_THRESHOLD": "NCCL_PROTO",
}


@rule(
    "MRC070",
    Severity.WARNING,
    "numbers in env are passed unchanged",
    failing="maskrcnn: {env: {CUDA_VERSION: 12.10}}",
    passing="maskrcnn: {env: {CUDA_VERSION: '12.10'}}",
)
def env_arrives_as_written(context: Context) -> Iterator[Violation]:
    """YAML parses 12.10 as the number 12.1, 0700 as 448 and 1e3 as 1000, and Helm stores numbers as 64-bit
    floating point. The variable of the ranks holds the parsed number, not the original text."""
    env = context.values.get("maskrcnn.env")
    for name, value in env.items() if isinstance(env, dict) else ():
        written = context.values.written(f"maskrcnn.env.{name}")
        if isinstance(value, int | float) and not isinstance(value, bool) and written is not None:
            arrives = json.dumps(value)
            if arrives != written:
                yield Violation(
                    f"maskrcnn.env.{name}",
                    f"{written} is passed to the ranks as {arrives}.",
                    f'Put it in quotes: "{written}".',
                )


@rule(
    "MRC072",
    Severity.INFO,
    "NCCL variables are current",
    failing="maskrcnn: {nccl_min_rings: 8}",
    passing="maskrcnn: {nccl_min_rings: null}",
)
def nccl_knows_the_setting(context: Context) -> Iterator[Violation]:
    """NCCL 2.5 replaced rings by channels. It treats the old names as aliases of the new ones or ignores
    them. NCCL chooses the number of channels best itself: on p4d a lower bound only costs bandwidth."""
    values = context.values
    if values.get("maskrcnn.nccl_min_rings") not in (None, ""):
        yield Violation(
            "maskrcnn.nccl_min_rings",
            "NCCL_MIN_NRINGS has been deprecated since NCCL 2.5; NCCL chooses a better number itself.",
            "Remove nccl_min_rings, or set it to null.",
        )
    for name, value in _env(context).items():
        if name in _DEPRECATED_VARIABLES and value is not None:
            fix = f"Use {_DEPRECATED_VARIABLES[name]}, or let NCCL choose."
            yield Violation(f"maskrcnn.env.{name}", f"{name} is deprecated.", fix)


@rule(
    "MRC073",
    Severity.WARNING,
    "each variable is set once",
    failing="maskrcnn: {nccl_debug: INFO, env: {NCCL_DEBUG: WARN}}",
    passing="maskrcnn: {nccl_debug: WARN}",
)
def variable_is_set_once(context: Context) -> Iterator[Violation]:
    """env takes precedence over the other values, so the value that is overridden misleads whoever reads
    it."""
    for variable in _env(context):
        name = _VARIABLES.get(variable)
        if name and context.values.sets(f"maskrcnn.{name}"):
            yield Violation(
                f"maskrcnn.env.{variable}",
                f"overrides maskrcnn.{name}.",
                f"Keep one of the two, preferably {name}.",
            )


@rule(
    "MRC074",
    Severity.ERROR,
    "variables of the chart are not overridden",
    failing="maskrcnn: {env: {SHARED_FS: /efs}}",
    passing="global: {shared_fs: efs}",
)
def chart_variables_are_not_overridden(context: Context) -> Iterator[Violation]:
    """The chart sets SHARED_FS, DATA_FS, RUN_DIR and SSH_OPTIONS, so that the launcher and the workers use
    the same mounts, directories and ssh options."""
    for variable in _env(context):
        if variable in _SET_BY_CHART:
            yield Violation(
                f"maskrcnn.env.{variable}",
                "is set by the chart.",
                "Remove it; global.shared_fs and maskrcnn.data_fs select the file systems.",
            )


@rule(
    "MRC075",
    Severity.WARNING,
    "MPI variables match Open MPI 4",
    failing="maskrcnn: {env: {PRTE_MCA_plm_ssh_args: '-o Port=2222'}}",
    passing="maskrcnn: {env: {OMPI_MCA_btl_tcp_if_exclude: 'lo,docker0'}}",
)
def open_mpi_names(context: Context) -> Iterator[Violation]:
    """The images contain Open MPI 4, which reads OMPI_MCA_ variables. PRTE_MCA_ variables belong to Open
    MPI 5 and have no effect."""
    for variable in _env(context):
        if variable.startswith("PRTE_MCA_"):
            yield Violation(
                f"maskrcnn.env.{variable}", "Open MPI 4 ignores it.", "Use the OMPI_MCA_ variable instead."
            )


def _env(context: Context) -> dict[str, object]:
    env = context.values.get("maskrcnn.env")
    return env if isinstance(env, dict) else {}
