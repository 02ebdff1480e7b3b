"""What YAML, Helm and the environment do behind one's back."""

import json
from collections.abc import Iterator

from mrc_cli.findings import Severity

from mrc_values.rules.registry import Context, Problem, rule

_LARGEST = 2**53

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

_CHARTS_OWN = ("SHARED_FS", "DATA_FS", "RUN_DIR", "SSH_OPTIONS")

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
    "a number in env arrives as it is written",
    failing="maskrcnn: {env: {CUDA_VERSION: 12.10}}",
    passing="maskrcnn: {env: {CUDA_VERSION: '12.10'}}",
)
def env_arrives_as_written(context: Context) -> Iterator[Problem]:
    """YAML reads 12.10 as the number 12.1, 0700 as 448 and 1e3 as 1000, and Helm keeps numbers as 64-bit
    floating point. The ranks get what is left of the text."""
    env = context.values.get("maskrcnn.env")
    for name, value in env.items() if isinstance(env, dict) else ():
        written = context.values.written(f"maskrcnn.env.{name}")
        if isinstance(value, int | float) and not isinstance(value, bool) and written is not None:
            arrives = json.dumps(value)
            if arrives != written:
                yield Problem(
                    f"maskrcnn.env.{name}",
                    f"{written} arrives as {arrives}.",
                    f'Put it in quotes: "{written}".',
                )


@rule(
    "MRC071",
    Severity.ERROR,
    "numbers are small enough for Helm",
    failing="maskrcnn: {horovod_fusion_threshold: 9007199254740993}",
    passing="maskrcnn: {horovod_fusion_threshold: '67108864'}",
)
def numbers_are_exact(context: Context) -> Iterator[Problem]:
    """Helm reads every number as 64-bit floating point, which has 53 bits: beyond 9007199254740992 the last
    digits change, and templates may print 1e+16."""
    section = context.values.get("maskrcnn")
    for name, value in section.items() if isinstance(section, dict) else ():
        if isinstance(value, int | float) and abs(value) >= _LARGEST:
            written = context.values.written(f"maskrcnn.{name}") or str(value)
            yield Problem(
                f"maskrcnn.{name}",
                f"{written} is more than Helm can hold exactly.",
                "Put it in quotes, or make it smaller.",
            )


@rule(
    "MRC072",
    Severity.INFO,
    "NCCL knows the setting",
    failing="maskrcnn: {nccl_min_rings: 8}",
    passing="maskrcnn: {nccl_min_rings: null}",
)
def nccl_knows_the_setting(context: Context) -> Iterator[Problem]:
    """NCCL 2.5 replaced rings by channels; it reads the old names as aliases of the new ones, or not at all.
    The number of channels is better left to it: on p4d a lower bound only takes bandwidth away."""
    values = context.values
    if values.get("maskrcnn.nccl_min_rings") not in (None, ""):
        yield Problem(
            "maskrcnn.nccl_min_rings",
            "NCCL_MIN_NRINGS is deprecated since NCCL 2.5, and what NCCL chooses by itself is better.",
            "Take nccl_min_rings out, or set it to null.",
        )
    for name, value in _env(context).items():
        if name in _DEPRECATED_VARIABLES and value is not None:
            fix = f"Use {_DEPRECATED_VARIABLES[name]}, or leave the choice to NCCL."
            yield Problem(f"maskrcnn.env.{name}", f"{name} is deprecated.", fix)


@rule(
    "MRC073",
    Severity.WARNING,
    "a variable is set once",
    failing="maskrcnn: {nccl_debug: INFO, env: {NCCL_DEBUG: WARN}}",
    passing="maskrcnn: {nccl_debug: WARN}",
)
def variable_is_set_once(context: Context) -> Iterator[Problem]:
    """env takes the place of what the other values set, so one of the two misleads whoever reads them."""
    for variable in _env(context):
        name = _VARIABLES.get(variable)
        if name and context.values.sets(f"maskrcnn.{name}"):
            yield Problem(
                f"maskrcnn.env.{variable}",
                f"takes the place of maskrcnn.{name}.",
                f"Keep one of the two, best {name}.",
            )


@rule(
    "MRC074",
    Severity.ERROR,
    "the chart's own variables stay its own",
    failing="maskrcnn: {env: {SHARED_FS: /efs}}",
    passing="global: {shared_fs: efs}",
)
def charts_variables_stay(context: Context) -> Iterator[Problem]:
    """SHARED_FS, DATA_FS, RUN_DIR and SSH_OPTIONS are how the launcher and the chart's other parts agree on
    mounts, folders and ssh."""
    for variable in _env(context):
        if variable in _CHARTS_OWN:
            yield Problem(
                f"maskrcnn.env.{variable}",
                "is set by the chart.",
                "Take it out; global.shared_fs and maskrcnn.data_fs decide the file systems.",
            )


@rule(
    "MRC075",
    Severity.WARNING,
    "Open MPI 5 names are not for Open MPI 4",
    failing="maskrcnn: {env: {PRTE_MCA_plm_ssh_args: '-o Port=2222'}}",
    passing="maskrcnn: {env: {OMPI_MCA_btl_tcp_if_exclude: 'lo,docker0'}}",
)
def open_mpi_names(context: Context) -> Iterator[Problem]:
    """The images carry Open MPI 4, whose run time reads OMPI_MCA_ variables. PRTE_MCA_ ones belong to Open
    MPI 5 and do nothing there."""
    for variable in _env(context):
        if variable.startswith("PRTE_MCA_"):
            yield Problem(
                f"maskrcnn.env.{variable}", "Open MPI 4 does not read it.", "Use its OMPI_MCA_ name."
            )


def _env(context: Context) -> dict[str, object]:
    env = context.values.get("maskrcnn.env")
    return env if isinstance(env, dict) else {}
