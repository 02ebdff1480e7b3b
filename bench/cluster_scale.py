"""mrc-values, and a job of 512 GPUs, on hundreds of simulated p4d nodes: seconds by the number of nodes.

    .venv/bin/python bench/cluster_scale.py [NODES ...]      (as root; default: 100 300 1000)

For each number of nodes a Kubernetes of its own is started (docs/cluster.md), with pods of the system on each
node. What a user calls is a whole process; the rest is timed inside of one. Medians.
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
"""Seconds by what was done."""

CHART = CHARTS / "maskrcnn"
PROGRAM = Path(sys.executable).with_name("mrc-values")
NAMESPACE = "kubeflow"
WORKERS = 64
JOB = ["maskrcnn.image=trainer:1", "maskrcnn.node_group=p4d", f"maskrcnn.gpus={8 * WORKERS}"]
AGENTS = 4
"""Pods of the system on every node, as for network, devices, logs and metrics."""
TIMES = 5


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("counts", metavar="NODES", type=int, nargs="*", default=[100, 300, 1000])
    counts: list[int] = parser.parse_args().counts
    columns = [measured(count) for count in counts]
    print("| seconds |", *(f"{count:,} nodes |" for count in counts))
    print("| --- |" + " --- |" * len(counts))
    for row in columns[0]:
        print(f"| {row} |", *(f"{column[row]:.2f} |" for column in columns))


def measured(nodes: int) -> Times:
    """Seconds by what was done, on so many p4d nodes."""
    with (
        tempfile.TemporaryDirectory() as directory,
        ready_cluster(Path(directory) / "cluster", {"cpu": 2, "p4d": nodes}) as cluster,
    ):
        run_agents(cluster)
        return (
            looks(cluster, "an empty cluster", "install", JOB)
            | job_starts(cluster)
            | looks(cluster, "a job that runs", "upgrade", JOB)
            | job_waits(cluster)
        )


def run_agents(cluster: Cluster) -> None:
    """Fills the nodes with the pods of DaemonSets."""
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


def looks(cluster: Cluster, when: str, verb: str, values: list[str]) -> Times:
    """The preflight, and where the job is there its status: inside of the process, and as commands."""
    api = client.connect(kubeconfig=cluster.kubeconfig)
    checked = check(CHART, (), values, "demo", "default")
    release = planned("demo", "default", CHART, checked, upgrade=verb == "upgrade")
    given = [f"--set={each}" for each in values]
    times = median(f"preflight, {when}", lambda: preflight(api, release))
    times |= median(
        f"`{verb} --dry-run`, {when}", lambda: run(cluster, PROGRAM, verb, "demo", CHART, "--dry-run", *given)
    )
    return times | (status_times(cluster, when) if verb == "upgrade" else {})


def status_times(cluster: Cluster, when: str) -> Times:
    """The status of the job demo."""
    api = client.connect(kubeconfig=cluster.kubeconfig)
    times = median(f"status, {when}", lambda: status_of(api, reading.find(api, "demo", None)))
    return times | median(f"`status`, {when}", lambda: run(cluster, PROGRAM, "status", "demo"))


def job_starts(cluster: Cluster) -> Times:
    """From the call of `helm install` on."""
    api = client.connect(kubeconfig=cluster.kubeconfig)
    given = [f"--set={each}" for each in JOB]
    began = time.monotonic()
    run(cluster, "helm", "install", "demo", CHART, *given)
    times = {"`helm install` of 512 GPUs returns": time.monotonic() - began}
    labels = f"{job.JOB_LABEL}=demo"
    until: dict[str, Callable[[list[client.Object]], bool]] = {
        "all 64 workers are made": lambda pods: len(pods) >= WORKERS,
        "all 64 workers are ready": lambda pods: sum(map(job.ready, pods)) >= WORKERS,
    }
    for what, reached in until.items():
        while not reached(list(api.list(client.PODS, NAMESPACE, labels=f"{labels},{job.ROLE_LABEL}=worker"))):
            time.sleep(0.05)
        times[what] = time.monotonic() - began
    while job.state(api.get(client.MPIJOBS, "demo", NAMESPACE)) is not job.State.RUNNING:
        time.sleep(0.05)
    return times | {"the MPIJob is Running": time.monotonic() - began}


def job_waits(cluster: Cluster) -> Times:
    """The status of a job whose workers fit on no node, which is the longest: it looks at all nodes."""
    run(cluster, "helm", "uninstall", "demo", "--wait")
    given = [f"--set={each}" for each in [*JOB, "maskrcnn.memory=2000Gi"]]
    run(cluster, "helm", "install", "demo", CHART, *given)
    api = client.connect(kubeconfig=cluster.kubeconfig)
    while not (status := status_of(api, reading.find(api, "demo", None))).reasons:
        time.sleep(0.5)
    assert "the largest node that it may run on has 1057Gi" in status.reasons[0].text, status.reasons
    return status_times(cluster, "a job that waits")


def median(what: str, timed: Callable[[], object]) -> Times:
    """Seconds of a call, and those of them that this machine's processors worked for it on this side."""
    seconds, cpu = [], []
    for _ in range(TIMES):
        began, before = time.monotonic(), sum(os.times()[:4])
        timed()
        seconds.append(time.monotonic() - began)
        cpu.append(sum(os.times()[:4]) - before)
    return {what: statistics.median(seconds), f"{what}: CPU": statistics.median(cpu)}


def run(cluster: Cluster, program: str | Path, *arguments: object, stdin: str | None = None) -> None:
    """Runs a program to its end, which has to be good."""
    argv = [str(each) for each in (program, *arguments)]
    done = subprocess.run(argv, env=cluster.environment, input=stdin, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{' '.join(argv)}: {done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
