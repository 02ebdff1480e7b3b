"""mrc-values and a job with 512 GPUs on hundreds of simulated p4d nodes: seconds by the number of nodes.

    .venv/bin/python bench/cluster_scale.py [NODES ...]      (as root; default: 100 300 1000)

Starts a new Kubernetes (docs/cluster.md) for each number of nodes, with system pods on each node. Commands
are measured as complete processes, other rows within this process. All figures are medians.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from mrc_values.check import check
from mrc_values.cluster import client, job, reading
from mrc_values.cluster.preflight import preflight
from mrc_values.cluster.preflight.planned import planned
from mrc_values.cluster.status import status_of
from testcluster.charts import CHARTS, ready_cluster
from testcluster.cluster import Cluster

Times = dict[str, float]
"""Seconds by the name of the row."""

CHART = CHARTS / "maskrcnn"
PROGRAM = Path(sys.executable).with_name("mrc-values")
NAMESPACE = "kubeflow"
WORKERS = 64
JOB = ["maskrcnn.image=trainer:1", "maskrcnn.node_group=p4d", f"maskrcnn.gpus={8 * WORKERS}"]
AGENTS = 4
"""System pods on every node, such as those for network, devices, logs and metrics."""
REPETITIONS = 5


def main() -> None:
    """Measure all numbers of nodes and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", metavar="NODES", type=int, nargs="*", default=[100, 300, 1000])
    counts: list[int] = parser.parse_args().counts
    columns = [measure(count) for count in counts]
    print("| seconds |", *(f"{count:,} nodes |" for count in counts))
    print("| --- |" + " --- |" * len(counts))
    for row in columns[0]:
        print(f"| {row} |", *(f"{column[row]:.2f} |" for column in columns))


def measure(nodes: int) -> Times:
    """All rows for a cluster with this number of p4d nodes."""
    with (
        tempfile.TemporaryDirectory() as directory,
        ready_cluster(Path(directory) / "cluster", {"cpu": 2, "p4d": nodes}) as cluster,
    ):
        run_agents(cluster)
        return (
            preflight_times(cluster, "an empty cluster", "install", JOB)
            | start_times(cluster)
            | preflight_times(cluster, "a running job", "upgrade", JOB)
            | waiting_times(cluster)
        )


def run_agents(cluster: Cluster) -> None:
    """Run system pods on all nodes, by DaemonSets."""
    container = {"name": "agent", "image": "agent:1", "resources": {"requests": {"cpu": "50m"}}}
    spec = {"containers": [container], "tolerations": [{"operator": "Exists"}]}
    sets = []
    for number in range(AGENTS):
        labels = {"app": f"agent-{number}"}
        meta = {"name": labels["app"], "namespace": "kube-system"}
        template = {"metadata": {"labels": labels}, "spec": spec}
        body = {"selector": {"matchLabels": labels}, "template": template}
        sets.append({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": meta, "spec": body})
    run(
        cluster,
        "kubectl",
        "create",
        "--filename=-",
        stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": sets}),
    )
    run(cluster, "kubectl", "rollout", "status", "daemonset", "--namespace=kube-system", "--timeout=20m")


def preflight_times(cluster: Cluster, when: str, verb: str, values: list[str]) -> Times:
    """Preflight and, if the job exists, status, each within this process and as a command."""
    api = client.connect(kubeconfig=cluster.kubeconfig)
    checked = check(CHART, (), values, "demo", "default")
    release = planned("demo", "default", CHART, checked, upgrade=verb == "upgrade")
    options = [f"--set={value}" for value in values]
    times = median(f"preflight, {when}", lambda: preflight(api, release))
    times |= median(
        f"`{verb} --dry-run`, {when}",
        lambda: run(cluster, PROGRAM, verb, "demo", CHART, "--dry-run", *options),
    )
    return times | (status_times(cluster, when) if verb == "upgrade" else {})


def status_times(cluster: Cluster, when: str) -> Times:
    """Status of the job demo, within this process and as a command."""
    api = client.connect(kubeconfig=cluster.kubeconfig)
    times = median(f"status, {when}", lambda: status_of(api, reading.find(api, "demo", None)))
    return times | median(f"`status`, {when}", lambda: run(cluster, PROGRAM, "status", "demo"))


def start_times(cluster: Cluster) -> Times:
    """Seconds from the start of `helm install` until the job reaches each state."""
    api = client.connect(kubeconfig=cluster.kubeconfig)
    options = [f"--set={value}" for value in JOB]
    started = time.monotonic()
    run(cluster, "helm", "install", "demo", CHART, *options)
    times = {"`helm install` of 512 GPUs returns": time.monotonic() - started}
    labels = f"{job.JOB_LABEL}=demo"
    until: dict[str, Callable[[list[client.Object]], bool]] = {
        "all 64 workers exist": lambda pods: len(pods) >= WORKERS,
        "all 64 workers are ready": lambda pods: sum(map(job.ready, pods)) >= WORKERS,
    }
    for state, reached in until.items():
        while not reached(list(api.list(client.PODS, NAMESPACE, labels=f"{labels},{job.ROLE_LABEL}=worker"))):
            time.sleep(0.05)
        times[state] = time.monotonic() - started
    while job.state(api.get(client.MPIJOBS, "demo", NAMESPACE)) is not job.State.RUNNING:
        time.sleep(0.05)
    return times | {"the MPIJob is Running": time.monotonic() - started}


def waiting_times(cluster: Cluster) -> Times:
    """Status of a job whose workers do not fit on any node; it takes longest, since it checks all nodes."""
    run(cluster, "helm", "uninstall", "demo", "--wait")
    options = [f"--set={value}" for value in [*JOB, "maskrcnn.memory=2000Gi"]]
    run(cluster, "helm", "install", "demo", CHART, *options)
    api = client.connect(kubeconfig=cluster.kubeconfig)
    while not (status := status_of(api, reading.find(api, "demo", None))).reasons:
        time.sleep(0.5)
    assert "the largest node that it may run on has 1057Gi" in status.reasons[0].text, status.reasons
    return status_times(cluster, "a waiting job")


def median(row: str, call: Callable[[], object]) -> Times:
    """Wall-clock and CPU seconds of a call; CPU time is that of this process and its children."""
    seconds, cpu = [], []
    for _ in range(REPETITIONS):
        started, before = time.monotonic(), sum(os.times()[:4])
        call()
        seconds.append(time.monotonic() - started)
        cpu.append(sum(os.times()[:4]) - before)
    return {row: statistics.median(seconds), f"{row}: CPU": statistics.median(cpu)}


def run(cluster: Cluster, program: str | Path, *arguments: object, stdin: str | None = None) -> None:
    """Run a program; exits with its output if it fails."""
    argv = [str(argument) for argument in (program, *arguments)]
    done = subprocess.run(argv, env=cluster.environment, input=stdin, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
