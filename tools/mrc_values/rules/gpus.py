"""GPUs, nodes and node groups."""

from collections.abc import Iterator, Mapping

from mrc_cli.findings import Severity

from mrc_values.catalogue import NodeGroup
from mrc_values.quantities import quantity
from mrc_values.rules.registry import Context, Violation, rule

WHOLE_GPU = "nvidia.com/gpu"
"""The resource of the NVIDIA device plugin that the catalogue counts; MIG devices and shared GPUs have other
names."""


@rule(
    "MRC010",
    Severity.ERROR,
    "the node group is in the catalogue",
    failing="maskrcnn: {node_group: p4e}",
    passing="maskrcnn: {node_group: p4d}",
)
def node_group_is_known(context: Context) -> Iterator[Violation]:
    """The catalogue (`mrc-values node-groups`) determines the nodes of the workers, and their memory, EFA
    interfaces and /dev/shm. A name that is not in the catalogue has no effect."""
    name = context.values.text("maskrcnn.node_group")
    if name and context.node_groups and name not in context.node_groups:
        # No did-you-mean: p5 is not a misspelled g5, and p4de not a misspelled p4d.
        hint = f"Set one of {', '.join(context.node_groups)}."
        yield Violation("maskrcnn.node_group", f"{name} is not in the chart's catalogue.", hint)


@rule(
    "MRC011",
    Severity.ERROR,
    "a worker fits on a node",
    failing="maskrcnn: {node_group: g4dn, gpus: 16, gpus_per_node: 8}",
    passing="maskrcnn: {node_group: g4dn, gpus: 16, gpus_per_node: 1}",
)
def worker_fits_node(context: Context) -> Iterator[Violation]:
    """A worker pod requests gpus_per_node GPUs on one node. If that is more than a node of the group has, the
    pods stay pending indefinitely."""
    group, per_node = context.node_group, context.values.integer("maskrcnn.gpus_per_node")
    if group and per_node and per_node > group.gpus and _on_whole_gpus(context):
        yield Violation(
            "maskrcnn.gpus_per_node",
            f"{per_node} is more than the {_gpus(group.gpus)} of {_a(group.short_name)} node.",
            f"Set gpus_per_node to {group.gpus}.",
        )


@rule(
    "MRC012",
    Severity.ERROR,
    "gpu_nodes matches gpus",
    failing="maskrcnn: {gpus: 24, gpus_per_node: 8, gpu_nodes: 2}",
    passing="maskrcnn: {gpus: 24, gpus_per_node: 8, gpu_nodes: 3}",
)
def nodes_agree_with_gpus(context: Context) -> Iterator[Violation]:
    """gpus and gpus_per_node already determine the number of workers; gpu_nodes is only compared with it. If
    they disagree, one of the three is a mistake."""
    values = context.values
    gpus, per_node = values.integer("maskrcnn.gpus"), values.integer("maskrcnn.gpus_per_node")
    nodes = values.integer("maskrcnn.gpu_nodes")
    if context.rejected("maskrcnn.gpus", "maskrcnn.gpus_per_node"):
        return
    if gpus and per_node and nodes is not None and gpus % per_node == 0 and nodes * per_node != gpus:
        yield Violation(
            "maskrcnn.gpu_nodes",
            f"{nodes} nodes with {_gpus(per_node)} each have {nodes * per_node}, but gpus is {gpus}.",
            _agreeing(context.node_group, gpus, per_node, nodes),
        )


def _agreeing(group: NodeGroup | None, gpus: int, per_node: int, nodes: int) -> str:
    """The fix of MRC012, with the GPUs that a node has when gpus_per_node is more than that (MRC011)."""
    if group and per_node > group.gpus:
        fits = f"gpus_per_node to {group.gpus} and "
        return f"Set {fits}gpu_nodes to {gpus // group.gpus}, or {fits}gpus to {nodes * group.gpus}."
    return f"Set gpu_nodes to {gpus // per_node}, or gpus to {nodes * per_node}."


@rule(
    "MRC013",
    Severity.WARNING,
    "CPU training does not run on GPU nodes",
    failing="maskrcnn: {device: cpu, node_group: p4d}",
    passing="maskrcnn: {device: cpu, node_group: ''}",
)
def cpu_ranks_stay_off_gpu_nodes(context: Context) -> Iterator[Violation]:
    """With device: cpu the workers request no GPU, but a node group still schedules them on its GPU nodes,
    which are started and billed while their GPUs stay idle."""
    group = context.node_group
    if group and context.values.get("maskrcnn.device") == "cpu":
        yield Violation(
            "maskrcnn.device",
            f"is cpu, but node group {group.name} runs the workers on {group.instance_type} nodes.",
            'Set node_group to "", or device to gpu.',
        )


@rule(
    "MRC014",
    Severity.ERROR,
    "gpus is a multiple of gpus_per_node",
    failing="maskrcnn: {node_group: p4d, gpus: 20, gpus_per_node: 8}",
    passing="maskrcnn: {node_group: p4d, gpus: 24, gpus_per_node: 8}",
)
def gpus_fill_whole_workers(context: Context) -> Iterator[Violation]:
    """Every worker pod runs gpus_per_node ranks, so the number of ranks must be a multiple of it."""
    gpus = context.values.integer("maskrcnn.gpus")
    per_node = context.values.integer("maskrcnn.gpus_per_node")
    if not gpus or not per_node or gpus % per_node == 0 or context.rejected("maskrcnn.gpus_per_node"):
        return
    group = context.node_group
    of = (
        f"the GPUs of {_a(group.short_name)} node"
        if group and group.gpus == per_node
        else "maskrcnn.gpus_per_node"
    )
    below = gpus // per_node * per_node
    choice = f"{below} or {below + per_node}" if below else f"{per_node}, or gpus_per_node to {gpus}"
    yield Violation(
        "maskrcnn.gpus", f"{gpus} is not a multiple of {per_node}, {of}.", f"Set gpus to {choice}."
    )


@rule(
    "MRC015",
    Severity.WARNING,
    "no GPU of a node stays idle",
    failing="maskrcnn: {node_group: p4d, gpus: 12, gpus_per_node: 4}",
    passing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8}",
)
def no_gpu_stays_idle(context: Context) -> Iterator[Violation]:
    """A node is billed as a whole, including the GPUs that no worker uses."""
    group = context.node_group
    gpus = context.values.integer("maskrcnn.gpus")
    per_node = context.values.integer("maskrcnn.gpus_per_node")
    if not group or not gpus or not per_node or gpus % per_node or not _on_whole_gpus(context):
        return
    if not 0 < per_node <= group.gpus:
        return
    workers = gpus // per_node
    nodes = -(-workers // (group.gpus // per_node))
    idle = nodes * group.gpus - gpus
    if idle:
        yield Violation(
            "maskrcnn.gpus",
            f"{workers} workers with {_gpus(per_node)} each leave {idle} of the {nodes * group.gpus} GPUs of "
            f"{nodes} {group.short_name} {'nodes' if nodes > 1 else 'node'} idle.",
            f"Set gpus to {nodes * group.gpus} and gpus_per_node to {group.gpus}.",
        )


@rule(
    "MRC016",
    Severity.INFO,
    "GPU workers have a node group",
    failing="maskrcnn: {node_group: ''}",
    passing="maskrcnn: {node_group: p3dn}",
)
def workers_name_their_nodes(context: Context) -> Iterator[Violation]:
    """Without a node group the workers run on any node with GPUs, reserve no memory and get no EFA interface.
    On nodes with EFA, NCCL then falls back to TCP, which is several times slower."""
    values = context.values
    if context.node_groups and context.node_group is None and _on_whole_gpus(context):
        if values.text("maskrcnn.node_group") or values.get("maskrcnn.node_selector"):
            return
        yield Violation(
            "maskrcnn.node_group",
            "is empty: workers run on any GPU node and reserve neither memory nor EFA interfaces.",
            f"Set one of {', '.join(context.node_groups)}, or set node_selector, memory and efa yourself.",
        )


@rule(
    "MRC017",
    Severity.ERROR,
    "a worker's memory fits on a node",
    failing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, memory: 16Gi}",
    passing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, memory: 12Gi}",
)
def memory_fits_node(context: Context) -> Iterator[Violation]:
    """A node reserves part of its memory for the system. A worker that requests more than the rest cannot be
    scheduled. Huge pages are taken from the same memory."""
    group = context.node_group
    memory = quantity(context.values.get("maskrcnn.memory"))
    huge = quantity(context.values.get("maskrcnn.hugepages")) or 0
    if group is None or memory is None or not group.memory_mib:
        return
    room = group.memory_mib * 2**20
    if memory + huge > room:
        with_huge = " with its huge pages" if huge else ""
        yield Violation(
            "maskrcnn.memory",
            f"a worker of {memory / 2**30:.0f} GiB{with_huge} does not fit on {_a(group.short_name)} node, "
            f"which has {room / 2**30:.0f} GiB for pods.",
            f"Set memory to {int((room - huge) * 0.9 / 2**30)}Gi or less, or leave it null for the default.",
        )


@rule(
    "MRC018",
    Severity.ERROR,
    "the nodes have the requested EFA interfaces",
    failing="maskrcnn: {node_group: p4d, efa: 5}",
    passing="maskrcnn: {node_group: p4d, efa: 4}",
)
def nodes_have_the_efa(context: Context) -> Iterator[Violation]:
    """An EFA interface is a device of the node and is assigned to one pod. A worker that requests more
    than the node has is never scheduled; with the provider `efa` but no EFA interface, NCCL fails at the
    first allreduce."""
    group, efa = context.node_group, context.values.integer("maskrcnn.efa")
    if group is None or not _on_whole_gpus(context):
        return
    has = int(group.row.get("efa", 0))
    if efa is not None and efa > has:
        yield Violation(
            "maskrcnn.efa",
            f"{efa} is more than the {has} EFA interfaces of {_a(group.short_name)} node.",
            "Leave it null for the default of the node group.",
        )
    if context.values.text("maskrcnn.fi_provider") == "efa" and (efa == 0 or not has):
        why = "maskrcnn.efa is 0" if has else f"{_a(group.short_name)} node has no EFA interface"
        yield Violation("maskrcnn.fi_provider", f"efa is not available: {why}.", "Leave fi_provider null.")


@rule(
    "MRC019",
    Severity.WARNING,
    "shared memory is smaller than memory",
    failing="maskrcnn: {node_group: p4d, memory: 64Gi, shm: 64Gi}",
    passing="maskrcnn: {node_group: p4d, memory: 256Gi, shm: 64Gi}",
)
def shared_memory_leaves_room(context: Context) -> Iterator[Violation]:
    """Data in /dev/shm counts against the worker's memory limit. If /dev/shm is as large as the limit, the
    kernel kills the worker before the file system reports that it is full."""
    memory, shm = (quantity(context.values.get(f"maskrcnn.{name}")) for name in ("memory", "shm"))
    if memory is not None and shm is not None and shm >= memory:
        yield Violation(
            "maskrcnn.shm",
            "is as large as the worker's memory limit, and shared memory counts against that limit.",
            f"Set shm to {max(1, int(memory / 4 / 2**30))}Gi, or leave it null for the default.",
        )


@rule(
    "MRC090",
    Severity.ERROR,
    "the instance type matches the node group",
    failing="maskrcnn: {node_group: p4d, gpu_instance_type: p3.16xlarge}",
    passing="maskrcnn: {node_group: p3}",
)
def instance_type_agrees(context: Context) -> Iterator[Violation]:
    """gpu_instance_type is the deprecated way to select the node group with that instance type. Next to
    node_group it has no effect, and misleads the reader if it differs."""
    groups, values = context.node_groups, context.values
    types = {group.instance_type: name for name, group in groups.items()}
    for section in ("maskrcnn.", "jupyter.", ""):
        text = values.text(f"{section}gpu_instance_type")
        name = values.text(f"{section}node_group")
        if not text or not types:
            continue
        if text not in types:
            hint = f"Set one of {', '.join(types)}."
            yield Violation(f"{section}gpu_instance_type", f"{text} is not in the chart's catalogue.", hint)
        elif name in groups and types[text] != name:
            yield Violation(
                f"{section}gpu_instance_type",
                f"{text} belongs to node group {types[text]}, but node_group is {name}.",
                f"Remove it, or set node_group to {types[text]}.",
            )


@rule(
    "MRC091",
    Severity.ERROR,
    "a worker's CPUs fit on a node",
    failing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, cpu: 4}",
    passing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, cpu: 3}",
)
def cpus_fit_node(context: Context) -> Iterator[Violation]:
    """A node reserves part of its CPUs for the system, so a worker that requests all of them cannot be
    scheduled."""
    group, cpus = context.node_group, quantity(context.values.get("maskrcnn.cpu"))
    if group and group.cpu_millis and cpus is not None and cpus * 1000 > group.cpu_millis:
        yield Violation(
            "maskrcnn.cpu",
            f"a worker with {cpus:g} CPUs does not fit on {_a(group.short_name)} node, which has "
            f"{group.cpu_millis / 1000:g} for pods.",
            f"Set cpu to {int(group.cpu_millis * 0.9 / 1000)} or less, or leave it null for the default.",
        )


@rule(
    "MRC092",
    Severity.WARNING,
    "workers on nodes with EFA use EFA",
    failing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8, efa: 0}",
    passing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8}",
)
def efa_is_used(context: Context) -> Iterator[Violation]:
    """Without EFA, gradients are exchanged between nodes over TCP, which is several times slower. EFA
    requires the device plugin on the nodes, a security group that allows all traffic from and to itself,
    and all nodes in one availability zone, preferably in one cluster placement group. `mrc-values status`
    shows whether NCCL uses it."""
    group, values = context.node_group, context.values
    gpus, per_node = values.integer("maskrcnn.gpus"), values.integer("maskrcnn.gpus_per_node")
    if not group or not group.row.get("efa") or not _on_whole_gpus(context) or not gpus or gpus == per_node:
        return
    provider, efa = values.text("maskrcnn.fi_provider"), int(group.row["efa"])
    if values.get("maskrcnn.efa") is None and per_node and efa * per_node // group.gpus == 0:
        workers = group.gpus // per_node
        smallest = -(-group.gpus // efa)
        yield Violation(
            "maskrcnn.gpus_per_node",
            f"{workers} workers share {_a(group.short_name)} node with {efa} EFA "
            f"{'interface' if efa == 1 else 'interfaces'}, so they get none and communicate over TCP.",
            f"Set gpus_per_node to {group.gpus}"
            + (
                f", or to at least {smallest} for one interface per worker." if smallest < group.gpus else "."
            ),
        )
    elif values.integer("maskrcnn.efa") == 0:
        yield Violation(
            "maskrcnn.efa",
            "is 0, so the workers communicate over TCP.",
            "Leave it null for the default of the node group.",
        )
    elif provider and "efa" not in provider:
        yield Violation("maskrcnn.fi_provider", f"{provider} is not EFA.", "Leave fi_provider null.")


@rule(
    "MRC093",
    Severity.ERROR,
    "a worker has one MIG device or shared GPU",
    failing="maskrcnn: {gpu_resource: nvidia.com/mig-3g.20gb, gpus: 4, gpus_per_node: 2}",
    passing="maskrcnn: {gpu_resource: nvidia.com/mig-3g.20gb, gpus: 4, gpus_per_node: 1}",
)
def partial_gpus_are_single(context: Context) -> Iterator[Violation]:
    """CUDA shows a process only one MIG device, and NCCL rejects two ranks on one GPU, which two replicas of
    a shared GPU can be. The ranks of a worker therefore need whole GPUs, or workers of one rank each."""
    values = context.values
    resource, per_node = values.text("maskrcnn.gpu_resource"), values.integer("maskrcnn.gpus_per_node")
    is_partial = "/mig-" in resource or resource.endswith(".shared")
    if is_partial and per_node and per_node > 1 and values.text("maskrcnn.device") != "cpu":
        yield Violation(
            "maskrcnn.gpus_per_node",
            f"the {per_node} ranks of a worker cannot share {resource}.",
            "Set gpus_per_node to 1.",
        )


@rule(
    "MRC094",
    Severity.WARNING,
    "AWS still offers the node group",
    failing="maskrcnn: {node_group: p3}",
    passing="maskrcnn: {node_group: p3dn, gpus: 16, gpus_per_node: 8}",
)
def node_group_is_offered(context: Context) -> Iterator[Violation]:
    """EC2 no longer describes the instance type, so a new node group with it cannot start a node, and its
    pods stay pending. Only nodes that already run can be used."""
    text, groups = context.values.text, context.node_groups
    setting = "node_group" if text("maskrcnn.node_group") else "gpu_instance_type"
    for name, group in (
        (f"maskrcnn.{setting}", context.node_group),
        ("jupyter.node_group", groups.get(text("jupyter.node_group"))),
    ):
        if group and group.retired:
            yield Violation(
                name,
                f"AWS no longer offers {group.instance_type}.",
                f"Use {_successor(groups, group)}, unless such nodes still run.",
            )


def _on_whole_gpus(context: Context) -> bool:
    values = context.values
    return (
        values.text("maskrcnn.device") != "cpu"
        and (values.text("maskrcnn.gpu_resource") or WHOLE_GPU) == WHOLE_GPU
    )


def _gpus(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"


def _a(name: str) -> str:
    """The name with its article; names are spelled out when read: an "F1", but a "P4d" or a "G5"."""
    return f"{'an' if name[:1] in 'aefhilmnorsx' else 'a'} {name}"


def _successor(groups: Mapping[str, NodeGroup], retired: NodeGroup) -> str:
    """The first node group with as many GPUs that AWS offers, such as p3dn."""
    return next((g.name for g in groups.values() if g.gpus == retired.gpus and not g.retired), "another one")
