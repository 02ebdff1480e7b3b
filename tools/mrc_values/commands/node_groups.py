"""mrc-values node-groups"""

from mrc_cli.errors import UsageError
from mrc_cli.terminal import table

from mrc_values.arguments import Chart, ChartVersion, chart_directory


def node_groups(chart: Chart = None, version: ChartVersion = None) -> None:
    """List the node groups for maskrcnn.node_group.

    They are defined in the chart's files/common/node-groups.yaml. Memory is the amount available to pods.

    Example: mrc-values node-groups
    """
    from mrc_values import catalogue
    from mrc_values.chart_links import check_links

    directory = chart_directory(chart, version)
    check_links(directory)
    groups = catalogue.load(directory).node_groups
    if not groups:
        raise UsageError(
            f"{directory}: no node groups ({catalogue.NODE_GROUPS} is missing). Give the "
            "directory of "
            "a training chart."
        )
    rows = []
    for group in groups.values():
        row = group.row
        rows.append(
            (
                group.name,
                group.instance_type + (" (retired)" if group.retired else ""),
                f"{group.gpus} {group.gpu}",
                f"{row.get('gpu_memory_mib', 0) / 1024:.0f} GiB",
                str(row.get("vcpus", "")),
                f"{group.memory_mib / 1024:.0f} GiB",
                str(row.get("efa", 0)),
                f"{row.get('network_gbps', 0):g} Gbit/s",
                f"{row.get('nvme_gb', 0)} GB",
            )
        )
    table(
        ("node group", "instance type", "GPUs", "GPU memory", "vCPUs", "memory", "EFA", "network", "NVMe"),
        rows,
    )
