"""mrc-values as the tests call it: its functions on the test cluster, its command line, and the program."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest.mock import patch

from mrc_values import cli, helm
from mrc_values.cluster import client as api
from mrc_values.cluster import reading, reasons
from mrc_values.cluster.job import Snapshot
from mrc_values.cluster.reasons import Reason
from mrc_values.manifests import objects
from releases import GIVEN
from testcluster.charts import CHARTS
from testcluster.client import Client, Object
from testcluster.nodes import KWOK_NODE

TYPE = r"maskrcnn.node_selector.node\.kubernetes\.io/instance-type"
"""The value that puts workers on nodes of an instance type."""

TOLERATION = "maskrcnn.tolerations[0].key=nvidia.com/gpu,maskrcnn.tolerations[0].operator=Exists"
"""The value with which workers bear the taint of GPU nodes, which keeps all other pods away."""

PROGRAM = Path(sys.executable).with_name("mrc-values")


def cluster_of(user: Client) -> api.Cluster:
    """The cluster as the tool sees it."""
    return api.connect(kubeconfig=user.cluster.kubeconfig)


def snapshot_of(user: Client, job: str) -> Snapshot:
    """What the tool reads of a job."""
    cluster = cluster_of(user)
    return reading.read(cluster, reading.find(cluster, job, user.namespace))


def reasons_of(user: Client, job: str, *, later: bool = False) -> list[Reason]:
    """Why a job waits; ``later``: as it is explained a minute later, when waiting is no longer normal."""
    snapshot = snapshot_of(user, job)
    return reasons.explain(
        replace(snapshot, time=datetime.now(UTC) + timedelta(minutes=1)) if later else snapshot
    )


def reason_named(user: Client, job: str, name: str, *, later: bool = False, seconds: float = 40) -> Reason:
    """The reason of a name, once the cluster's controllers have come to it."""
    end = time.monotonic() + seconds
    while True:
        reasons = reasons_of(user, job, later=later)
        named = [reason for reason in reasons if reason.reason == name]
        if named:
            return named[0]
        assert time.monotonic() < end, (
            f"no reason {name}, but: {[(reason.reason, str(reason)) for reason in reasons]}"
        )
        time.sleep(0.3)


def rendered_job(user: Client, name: str, *values: str) -> Object:
    """The MPIJob that the chart makes."""
    given = helm.parse_flag("--set", ",".join([*GIVEN["maskrcnn"], "global.namespace=", *values]))
    rendered = helm.render(CHARTS / "maskrcnn", given, name, user.namespace)
    job: Object = next(item for item in objects(rendered) if item["kind"] == "MPIJob")
    return job


def submit(user: Client, name: str, *values: str) -> None:
    """Starts the job that the chart makes, without a release around it: that spares half of the time."""
    user.apply(rendered_job(user, name, *values))


def patch_status(user: Client, kind: str, name: str, status: Object) -> None:
    """Writes what a kubelet or controller would write."""
    body = json.dumps({"status": status})
    user.kubectl("patch", kind, name, "--subresource=status", "--type=strategic", f"--patch={body}")


def add_event(user: Client, item: Object, reason: str, message: str, kind: str = "Warning") -> None:
    """An event as a kubelet or an autoscaler reports it."""
    meta = item["metadata"]
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    user.kubectl(
        "create",
        "--filename=-",
        stdin=json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"generateName": f"{meta['name']}.", "namespace": user.namespace},
                "involvedObject": {
                    "kind": item["kind"],
                    "namespace": user.namespace,
                    "name": meta["name"],
                    "uid": meta["uid"],
                },
                "reason": reason,
                "message": message,
                "type": kind,
                "firstTimestamp": now,
                "lastTimestamp": now,
            }
        ),
    )


def add_node(user: Client, name: str, *, ready: bool, simulated: bool = False) -> str:
    """A node whose type is its name. One that is not simulated has no kubelet but the test."""
    capacity = {"cpu": "8", "memory": "64Gi", "pods": "10", "nvidia.com/gpu": "8"}
    meta: Object = {"name": name, "labels": {"node.kubernetes.io/instance-type": name}}
    if simulated:
        meta["annotations"] = KWOK_NODE
    taint = {"key": "nvidia.com/gpu", "effect": "NoSchedule"}
    user.apply({"apiVersion": "v1", "kind": "Node", "metadata": meta, "spec": {"taints": [taint]}})
    state = {"type": "Ready", "status": str(ready), "reason": "KubeletReady" if ready else "KubeletNotReady"}
    # Without a heartbeat the node would count as lost after a minute.
    state["lastHeartbeatTime"] = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    status = {"capacity": capacity, "allocatable": capacity, "conditions": [state]}
    patch_status(user, "node", name, status)
    return name


def mrc_values(user: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end, in the user's namespace."""
    return command(user, *arguments, f"--namespace={user.namespace}")


def command(user: Client, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end in this process, which spares Python's start. Helm's own words are lost."""
    argv = ["mrc-values", *arguments]
    out, err, code = io.StringIO(), io.StringIO(), 0
    with (
        patch.dict(os.environ, user.cluster.environment),
        patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            cli.main()
        except SystemExit as ended:
            code = int(ended.code or 0)
    return subprocess.CompletedProcess(argv, code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def opened(user: Client, release: str, server: str) -> Iterator[str]:
    """The address that ``mrc-values open`` prints; Ctrl-C ends it after the block."""
    argv = [str(PROGRAM), "open", release, server, f"--namespace={user.namespace}"]
    with subprocess.Popen(argv, env=user.cluster.environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("http"), "mrc-values open printed no address"
            yield address
        finally:
            process.send_signal(signal.SIGINT)
    assert process.returncode == 0


def eventually(condition: Callable[[], bool], what: str, seconds: float = 40) -> None:
    """Waits until something is so."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds:.0f} s for {what}"
        time.sleep(0.2)
