"""GPUs, nodes and node groups."""

from collections.abc import Iterator

from mrc_cli.findings import Severity
from mrc_cli.suggestions import nearest

from mrc_values.quantities import quantity
from mrc_values.rules.registry import Context, Problem, rule


@rule(
    "MRC010",
    Severity.ERROR,
    "the node group is in the catalogue",
    failing="maskrcnn: {node_group: p4e}",
    passing="maskrcnn: {node_group: p4d}",
)
def node_group_is_known(context: Context) -> Iterator[Problem]:
    """The catalogue (`mrc-values node-groups`) decides where workers run and what memory, EFA and /dev/shm
    they get. A name that is not in it decides nothing."""
    name = context.values.text("maskrcnn.node_group")
    if name and context.node_groups and name not in context.node_groups:
        meant = nearest(name, context.node_groups)
        hint = f"Did you mean {meant}?" if meant else f"Set one of {', '.join(context.node_groups)}."
        yield Problem("maskrcnn.node_group", f"{name} is not in the chart's catalogue.", hint)


@rule(
    "MRC011",
    Severity.ERROR,
    "a worker fits a node",
    failing="maskrcnn: {node_group: g4dn, gpus: 16, gpus_per_node: 8}",
    passing="maskrcnn: {node_group: g4dn, gpus: 16, gpus_per_node: 1}",
)
def worker_fits_node(context: Context) -> Iterator[Problem]:
    """A worker pod asks for gpus_per_node GPUs of one node. With more than the node has, no node ever fits
    and the job waits for ever."""
    group, per_node = context.node_group, context.values.integer("maskrcnn.gpus_per_node")
    if group and per_node and per_node > group.gpus and _on_gpus(context):
        yield Problem(
            "maskrcnn.gpus_per_node",
            f"{per_node} is more than the {_gpus(group.gpus)} of {_a(group.short_name)} node.",
            f"Set gpus_per_node to {group.gpus}.",
        )


@rule(
    "MRC012",
    Severity.ERROR,
    "gpu_nodes agrees with gpus",
    failing="maskrcnn: {gpus: 24, gpus_per_node: 8, gpu_nodes: 2}",
    passing="maskrcnn: {gpus: 24, gpus_per_node: 8, gpu_nodes: 3}",
)
def nodes_agree_with_gpus(context: Context) -> Iterator[Problem]:
    """gpus and gpus_per_node already say how many workers there are; gpu_nodes is only checked against
    them. Where they differ, one of the three is not what you mean."""
    values = context.values
    gpus, per_node = values.integer("maskrcnn.gpus"), values.integer("maskrcnn.gpus_per_node")
    nodes = values.integer("maskrcnn.gpu_nodes")
    if context.refused("maskrcnn.gpus", "maskrcnn.gpus_per_node"):
        return
    if gpus and per_node and nodes is not None and gpus % per_node == 0 and nodes * per_node != gpus:
        yield Problem(
            "maskrcnn.gpu_nodes",
            f"{nodes} nodes of {_gpus(per_node)} are {nodes * per_node}, and gpus is {gpus}.",
            f"Set gpu_nodes to {gpus // per_node}, or gpus to {nodes * per_node}.",
        )


@rule(
    "MRC013",
    Severity.WARNING,
    "ranks without GPUs stay off GPU nodes",
    failing="maskrcnn: {device: cpu, node_group: p4d}",
    passing="maskrcnn: {device: cpu, node_group: ''}",
)
def cpu_ranks_stay_off_gpu_nodes(context: Context) -> Iterator[Problem]:
    """device: cpu asks for no GPU, but a node group still puts the workers on its GPU nodes, which are
    started and paid for, and computes nothing on their GPUs."""
    group = context.node_group
    if group and context.values.get("maskrcnn.device") == "cpu":
        yield Problem(
            "maskrcnn.device",
            f"the ranks compute on CPUs, yet node group {group.name} starts {group.instance_type} nodes.",
            'Set node_group to "", or device to gpu.',
        )


@rule(
    "MRC014",
    Severity.ERROR,
    "gpus fill whole workers",
    failing="maskrcnn: {node_group: p4d, gpus: 20, gpus_per_node: 8}",
    passing="maskrcnn: {node_group: p4d, gpus: 24, gpus_per_node: 8}",
)
def gpus_fill_whole_workers(context: Context) -> Iterator[Problem]:
    """Every worker pod has gpus_per_node slots, so the ranks can only be a multiple of that."""
    gpus = context.values.integer("maskrcnn.gpus")
    per_node = context.values.integer("maskrcnn.gpus_per_node")
    if not gpus or not per_node or gpus % per_node == 0 or context.refused("maskrcnn.gpus_per_node"):
        return
    group = context.node_group
    of = (
        f"the GPUs of {_a(group.short_name)} node"
        if group and group.gpus == per_node
        else "maskrcnn.gpus_per_node"
    )
    below = gpus // per_node * per_node
    choice = f"{below} or {below + per_node}" if below else f"{per_node}, or gpus_per_node to {gpus}"
    yield Problem("maskrcnn.gpus", f"{gpus} is not a multiple of {per_node}, {of}.", f"Set gpus to {choice}.")


@rule(
    "MRC015",
    Severity.WARNING,
    "no GPU of a started node stays idle",
    failing="maskrcnn: {node_group: p4d, gpus: 12, gpus_per_node: 4}",
    passing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8}",
)
def no_gpu_stays_idle(context: Context) -> Iterator[Problem]:
    """A node is paid for as a whole, and GPUs of it that no worker takes do nothing."""
    group = context.node_group
    gpus = context.values.integer("maskrcnn.gpus")
    per_node = context.values.integer("maskrcnn.gpus_per_node")
    if not group or not gpus or not per_node or gpus % per_node or not _on_gpus(context):
        return
    if not 0 < per_node <= group.gpus:
        return
    workers = gpus // per_node
    nodes = -(-workers // (group.gpus // per_node))
    idle = nodes * group.gpus - gpus
    if idle:
        yield Problem(
            "maskrcnn.gpus",
            f"{workers} workers of {_gpus(per_node)} leave {idle} of the {nodes * group.gpus} GPUs of "
            f"{nodes} {group.short_name} {'nodes' if nodes > 1 else 'node'} idle.",
            f"Set gpus to {nodes * group.gpus} and gpus_per_node to {group.gpus}.",
        )


@rule(
    "MRC016",
    Severity.INFO,
    "GPU workers name their nodes",
    failing="maskrcnn: {node_group: ''}",
    passing="maskrcnn: {node_group: p3dn}",
)
def workers_name_their_nodes(context: Context) -> Iterator[Problem]:
    """Without a node group the workers run on whatever node has GPUs, reserve no memory and get no EFA
    interface: on nodes that have EFA, NCCL then goes over TCP, several times slower."""
    values = context.values
    if context.node_groups and context.node_group is None and _on_gpus(context):
        if values.text("maskrcnn.node_group") or values.get("maskrcnn.node_selector"):
            return
        yield Problem(
            "maskrcnn.node_group",
            "is empty: workers take any GPU node, and reserve neither memory nor EFA.",
            f"Set one of {', '.join(context.node_groups)}, or node_selector, memory and efa by hand.",
        )


@rule(
    "MRC017",
    Severity.ERROR,
    "a worker's memory fits a node",
    failing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, memory: 16Gi}",
    passing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, memory: 12Gi}",
)
def memory_fits_node(context: Context) -> Iterator[Problem]:
    """A node keeps a part of its memory for itself. A worker that asks for more than the rest fits no node;
    huge pages and memory come from the same."""
    group = context.node_group
    memory = quantity(context.values.get("maskrcnn.memory"))
    huge = quantity(context.values.get("maskrcnn.hugepages")) or 0
    if group is None or memory is None or not group.memory_mib:
        return
    room = group.memory_mib * 2**20
    if memory + huge > room:
        with_huge = " with its huge pages" if huge else ""
        yield Problem(
            "maskrcnn.memory",
            f"a worker of {memory / 2**30:.0f} GiB{with_huge} does not fit {_a(group.short_name)} node, "
            f"which has {room / 2**30:.0f} GiB for pods.",
            f"Set memory to {int((room - huge) * 0.9 / 2**30)}Gi or less, or leave it null.",
        )


@rule(
    "MRC018",
    Severity.ERROR,
    "EFA only where the nodes have it",
    failing="maskrcnn: {node_group: p4d, efa: 5}",
    passing="maskrcnn: {node_group: p4d, efa: 4}",
)
def nodes_have_the_efa(context: Context) -> Iterator[Problem]:
    """EFA interfaces are devices of the node, each given to one pod. A worker that asks for more than the
    node has never runs; the provider `efa` on nodes without one makes NCCL fail at the first allreduce."""
    group, efa = context.node_group, context.values.integer("maskrcnn.efa")
    if group is None or not _on_gpus(context):
        return
    has = int(group.row.get("efa", 0))
    if efa is not None and efa > has:
        yield Problem(
            "maskrcnn.efa",
            f"{efa} is more than the {has} EFA interfaces of {_a(group.short_name)} node.",
            "Leave it null to have what the node has.",
        )
    if context.values.text("maskrcnn.fi_provider") == "efa" and (efa == 0 or not has):
        why = "maskrcnn.efa is 0" if has else f"{_a(group.short_name)} node has no EFA interface"
        yield Problem("maskrcnn.fi_provider", f"efa is not there: {why}.", "Leave fi_provider null.")


@rule(
    "MRC019",
    Severity.WARNING,
    "shared memory is smaller than the memory",
    failing="maskrcnn: {node_group: p4d, memory: 64Gi, shm: 64Gi}",
    passing="maskrcnn: {node_group: p4d, memory: 256Gi, shm: 64Gi}",
)
def shared_memory_leaves_room(context: Context) -> Iterator[Problem]:
    """What is written to /dev/shm counts against the worker's memory. As large as that, it lets the kernel
    kill the worker before the file system says that it is full."""
    memory, shm = (quantity(context.values.get(f"maskrcnn.{name}")) for name in ("memory", "shm"))
    if memory is not None and shm is not None and shm >= memory:
        yield Problem(
            "maskrcnn.shm",
            "shared memory may take all of the worker's memory, and counts against it.",
            f"Set shm to {max(1, int(memory / 4 / 2**30))}Gi, or leave it null.",
        )


@rule(
    "MRC090",
    Severity.ERROR,
    "instance type and node group agree",
    failing="maskrcnn: {node_group: p4d, gpu_instance_type: p3.16xlarge}",
    passing="maskrcnn: {node_group: p3}",
)
def instance_type_agrees(context: Context) -> Iterator[Problem]:
    """gpu_instance_type is an old name for the row of the catalogue with that type. Beside node_group it
    means nothing, and misleads where it is another."""
    groups, values = context.node_groups, context.values
    types = {group.instance_type: name for name, group in groups.items()}
    for section in ("maskrcnn.", "jupyter.", ""):
        text = values.text(f"{section}gpu_instance_type")
        name = values.text(f"{section}node_group")
        if not text or not types:
            continue
        if text not in types:
            meant = nearest(text, types)
            hint = f"Did you mean {meant}?" if meant else f"Set one of {', '.join(types)}."
            yield Problem(f"{section}gpu_instance_type", f"{text} is not in the chart's catalogue.", hint)
        elif name in groups and types[text] != name:
            yield Problem(
                f"{section}gpu_instance_type",
                f"{text} is the node group {types[text]}, and node_group is {name}.",
                f"Take it out, or set node_group to {types[text]}.",
            )


@rule(
    "MRC091",
    Severity.ERROR,
    "a worker's CPUs fit a node",
    failing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, cpu: 4}",
    passing="maskrcnn: {node_group: g5-xlarge, gpus: 2, gpus_per_node: 1, cpu: 3}",
)
def cpus_fit_node(context: Context) -> Iterator[Problem]:
    """A node keeps a part of its CPUs for itself, so that a worker that asks for all of them fits no node."""
    group, cpus = context.node_group, quantity(context.values.get("maskrcnn.cpu"))
    if group and group.cpu_millis and cpus is not None and cpus * 1000 > group.cpu_millis:
        yield Problem(
            "maskrcnn.cpu",
            f"a worker of {cpus:g} CPUs does not fit {_a(group.short_name)} node, which has "
            f"{group.cpu_millis / 1000:g} for pods.",
            f"Set cpu to {int(group.cpu_millis * 0.9 / 1000)} or less, or leave it null.",
        )


@rule(
    "MRC092",
    Severity.WARNING,
    "workers on EFA nodes use EFA",
    failing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8, efa: 0}",
    passing="maskrcnn: {node_group: p4d, gpus: 16, gpus_per_node: 8}",
)
def efa_is_used(context: Context) -> Iterator[Problem]:
    """Without EFA the gradients of several nodes go over TCP, several times slower. EFA needs the device
    plugin on the nodes, a security group that lets all traffic from and to itself pass, and all nodes in one
    availability zone, best in one cluster placement group. `mrc-values status` shows whether NCCL uses it."""
    group, values = context.node_group, context.values
    gpus, per_node = values.integer("maskrcnn.gpus"), values.integer("maskrcnn.gpus_per_node")
    if not group or not group.row.get("efa") or not _on_gpus(context) or not gpus or gpus == per_node:
        return
    provider = values.text("maskrcnn.fi_provider")
    if values.integer("maskrcnn.efa") == 0:
        yield Problem(
            "maskrcnn.efa", "is 0, so the workers talk over TCP.", "Leave it null to have what the node has."
        )
    elif provider and "efa" not in provider:
        yield Problem("maskrcnn.fi_provider", f"{provider} is not EFA.", "Leave fi_provider null.")


def _on_gpus(context: Context) -> bool:
    return context.values.text("maskrcnn.device") != "cpu"


def _gpus(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"


def _a(name: str) -> str:
    """Article and name; the names are read letter by letter: an "F1", but a "P4d" or a "G5"."""
    return f"{'an' if name[:1] in 'aefhilmnorsx' else 'a'} {name}"
