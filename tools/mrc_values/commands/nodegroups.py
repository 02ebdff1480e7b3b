"""mrc-values node-groups"""

from mrc_cli.errors import UsageError
from mrc_cli.terminal import table

from mrc_values.commands.arguments import Chart, chart_folder


def node_groups(chart: Chart = None) -> None:
    """Show the node groups that maskrcnn.node_group can name.

    The rows come from the chart's files/common/node-groups.yaml. Memory is what pods of a node can have.

    Example: mrc-values node-groups
    """
    from mrc_values import catalogue

    folder = chart_folder(chart)
    groups = catalogue.load(folder).node_groups
    if not groups:
        raise UsageError(f"{folder}: no catalogue here ({catalogue.NODE_GROUPS}). Name the chart's folder.")
    rows = []
    for group in groups.values():
        row = group.row
        rows.append(
            (
                group.name,
                group.instance_type,
                f"{group.gpus} {group.gpu}",
                f"{row.get('gpu_memory_mib', 0) / 1024:.0f} GiB",
                str(row.get("vcpus", "")),
                f"{group.memory_mib / 1024:.0f} GiB",
                str(row.get("efa", 0)),
                f"{row.get('network_gbps', 0):g} Gbit/s",
                f"{row.get('nvme_gb', 0)} GB",
            )
        )
    table(("node group", "instance type", "GPUs", "each", "vCPUs", "memory", "EFA", "network", "NVMe"), rows)
