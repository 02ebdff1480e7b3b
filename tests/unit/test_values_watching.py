"""How mrc-values interprets the messages, logs and pods of a job in a cluster."""

from datetime import UTC, datetime, timedelta

import pytest
from mrc_train.run_lines import Checkpoint, Evaluation, EvaluationFailed, Progress
from mrc_values.cluster import containers, nccl, reasons, rejections, scheduling
from mrc_values.cluster.job import ROLE_LABEL, Snapshot
from mrc_values.cluster.logs import ReadPosition
from mrc_values.cluster.nccl import Transport
from mrc_values.cluster.reasons import Reason
from mrc_values.cluster.status import Pod, Status, summary

WORKER = {"spec": {"containers": [{"resources": {"requests": {"nvidia.com/gpu": "8"}}}]}}
"""A pod that requests eight GPUs, on any node."""


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("0/3 nodes are available: 3 Insufficient nvidia.com/gpu.", "no-gpus"),
        ("0/3 nodes are available: 1 Insufficient memory, 3 Insufficient vpc.amazonaws.com/efa.", "no-efa"),
        ("0/3 nodes are available: 3 Insufficient example.com/fpga.", "no-room"),
        ("0/3 nodes are available: 3 Insufficient ephemeral-storage.", "no-disk"),
        ("0/3 nodes are available: 3 Too many pods.", "no-pods"),
        ("0/3 nodes are available: 3 node(s) had volume node affinity conflict.", "volume-zone"),
        # Kubernetes up to 1.33 names the taint, later ones do not.
        ("0/3 nodes are available: 3 node(s) had untolerated taint {dedicated: team-b}.", "taint"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint(s).", "taint"),
        (
            "0/3 nodes are available: 3 node(s) had untolerated taint {node.kubernetes.io/not-ready: }.",
            "nodes-not-ready",
        ),
        ("no nodes available to schedule pods", "no-nodes"),
        ("0/3 nodes are available: 3 node(s) were odd.", "unschedulable"),
        ("a custom scheduler rejects the pod", "unschedulable"),
    ],
)
def test_a_schedulers_message_has_a_reason_without_access_to_nodes(message: str, reason: str) -> None:
    assert scheduling.explain(message, WORKER, None).id == reason


def node(*keys: str) -> dict[str, object]:
    return {"spec": {"taints": [{"key": key, "effect": "NoSchedule"} for key in keys]}}


@pytest.mark.parametrize(
    ("nodes", "reason"),
    [
        ([node("fsx.csi.aws.com/agent-not-ready")], "nodes-starting"),
        ([node("node.cloudprovider.kubernetes.io/uninitialized")], "nodes-starting"),
        ([node("karpenter.sh/disrupted")], "nodes-leaving"),
        ([node("node.kubernetes.io/disk-pressure")], "nodes-unhealthy"),
        ([node("node.kubernetes.io/not-ready")], "nodes-not-ready"),
        ([node("dedicated")], "taint"),
        # The node that becomes available first decides, once all of its taints are gone.
        ([node("karpenter.sh/disrupted"), node("efs.csi.aws.com/agent-not-ready")], "nodes-starting"),
        ([node("efs.csi.aws.com/agent-not-ready", "dedicated")], "taint"),
    ],
)
def test_only_taints_of_dedicated_nodes_are_to_be_tolerated(
    nodes: list[dict[str, object]], reason: str
) -> None:
    message = f"0/{len(nodes)} nodes are available: {len(nodes)} node(s) had untolerated taint(s)."
    cause = scheduling.explain(message, WORKER, nodes)
    assert cause.id == reason
    assert ("Set maskrcnn.tolerations" in cause.fix) == (reason == "taint")


def test_a_start_up_taint_is_explained_with_its_name_and_without_harmful_advice() -> None:
    message = "0/1 nodes are available: 1 node(s) had untolerated taint {fsx.csi.aws.com/agent-not-ready: }."
    cause = scheduling.explain(message, WORKER, None)
    assert (cause.id, "fsx.csi.aws.com/agent-not-ready" in cause.text) == ("nodes-starting", True)


def test_the_preemption_part_of_a_schedulers_message_is_ignored() -> None:
    message = (
        "0/18 nodes are available: 14 node(s) didn't match Pod's node affinity/selector, 4 Insufficient "
        "nvidia.com/gpu. no new claims to deallocate, preemption: 0/18 nodes are available: 14 Preemption is "
        "not helpful for scheduling, 4 No preemption victims found for incoming pod."
    )
    assert scheduling.explain(message, WORKER, None).text == (
        "no node has 8 nvidia.com/gpu free: of 18 nodes 4 lack nvidia.com/gpu, 14 have other labels"
    )


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('pods "x" is forbidden: admission webhook "policy.io" denied the request: no', "admission-webhook"),
        (
            'Internal error occurred: failed calling webhook "mpod.kueue.io": connection refused',
            "webhook-down",
        ),
        ('namespaces "x" not found', "namespace-missing"),
        (
            'pods is forbidden: User "op" cannot create resource "pods" in the namespace "x"',
            "operator-rights",
        ),
        ('Pod "x" is invalid: spec.containers[0].image: Required value', "refused"),
    ],
)
def test_a_rejection_by_the_api_server_has_a_reason(message: str, reason: str) -> None:
    assert rejections.explain(message).id == reason


def test_an_unknown_exit_code_is_reported_as_a_number() -> None:
    assert containers.ended({"exitCode": 3}).text == "the container ended with exit code 3"


def line(text: str) -> str:
    """A rank's line as it appears in the launcher's log."""
    return f"[1,0]<stdout>:demo-worker-0:26:26 [0] {text}"


@pytest.mark.parametrize(
    ("lines", "network", "nics", "direct"),
    [
        (["NCCL INFO NET/OFI Selected Provider is efa"], "efa", None, None),
        (["NCCL INFO NET/OFI Selected Provider is efa (found 4 nics)"], "efa", 4, None),
        (
            ["NCCL INFO NET/OFI Selected provider is efa, fabric is efa-direct (found 16 nics)"],
            "efa",
            16,
            None,
        ),
        (
            [
                "NCCL INFO NET/OFI Selected provider is efa, fabric is efa (found 4 nics)",
                "NCCL INFO Using network AWS Libfabric",
                "NCCL INFO Channel 00/0 : 8[0] -> 0[0] [receive] via NET/AWS Libfabric/0/GDRDMA",
            ],
            "efa",
            4,
            True,
        ),
        (
            [
                "NCCL INFO NET/OFI Selected Provider is efa (found 1 nics)",
                "NCCL INFO Channel 00/0 : 0[35000] -> 1[f5000] [receive] via NET/AWS Libfabric/0",
            ],
            "efa",
            1,
            False,
        ),
        (["NCCL INFO NET/OFI Selected Provider is tcp"], "tcp", None, None),
        (["NCCL INFO NET/IB : No device found.", "NCCL INFO Using network Socket"], "tcp", None, None),
        (["NCCL INFO NET/Socket : Using [0]eth0:172.31.12.210<0>"], "tcp", None, None),
        (["find_ofi_provider:543 NCCL WARN NET/OFI Couldn't find any optimal provider"], "tcp", None, None),
        (["NCCL INFO Using network IB"], "infiniband", None, None),
        (["NCCL INFO Using network Libfabric"], "libfabric", None, None),
        (["NCCL INFO Bootstrap : Using eth0:10.3.35.83<0>"], "", None, None),
        ([], "", None, None),
    ],
)
def test_the_network_is_read_from_nccls_log(
    lines: list[str], network: str, nics: int | None, direct: bool | None
) -> None:
    transport = nccl.transport(map(line, lines))
    assert (transport.network, transport.nics, transport.gpu_direct) == (network, nics, direct)


def test_one_rank_on_tcp_makes_the_network_tcp() -> None:
    lines = ["NCCL INFO NET/OFI Selected Provider is efa (found 4 nics)", "NCCL INFO Using network Socket"]
    assert nccl.transport(map(line, lines)).network == "tcp"


@pytest.mark.parametrize(
    ("efa", "workers", "words"), [(4, 2, "although"), (0, 2, "request no EFA"), (4, 1, "")]
)
def test_tcp_is_a_warning_between_nodes_only(efa: int, workers: int, words: str) -> None:
    advice = nccl.advice(Transport("tcp"), efa, workers)
    assert words in advice
    assert bool(advice) == bool(words)


# Lines of NCCL 2.4, 2.20 and 2.32, and of aws-ofi-nccl 1.21.
@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["NCCL INFO NET/Plugin: Could not find: libnccl-net.so. "], "no plugin"),
        (["NCCL INFO NET/Plugin : No plugin found (libnccl-net.so)."], "no plugin"),
        (["NCCL INFO NET/Plugin : No plugin found, using internal implementation"], "no plugin"),
        (
            [
                "NCCL INFO NET/OFI Initializing aws-ofi-nccl 1.21.1",
                "NCCL INFO NET/OFI No eligible providers were found",
            ],
            "aws-ofi-nccl 1.21.1 found no EFA device",
        ),
        ([], "Check that the image has aws-ofi-nccl"),
    ],
)
def test_tcp_in_spite_of_efa_is_told_from_an_image_without_the_plugin(lines: list[str], words: str) -> None:
    transport = nccl.transport(map(line, [*lines, "NCCL INFO Using network Socket"]))
    assert transport.network == "tcp"
    assert words in nccl.advice(transport, efa=4, workers=2)


def test_a_reopened_log_continues_after_the_last_line() -> None:
    position = ReadPosition()
    assert position.reopened() == ""
    for text in ("2026-01-01T00:00:05.1Z a", "2026-01-01T00:00:05.12Z b", "2026-01-01T00:00:05.12Z c"):
        assert position.new(text) == text[-1]
    assert position.reopened() == "2026-01-01T00:00:05Z", "the server accepts whole seconds only"
    again = [
        "2026-01-01T00:00:05.1Z a",
        "2026-01-01T00:00:05.12Z b",
        "2026-01-01T00:00:05.12Z c",
        "2026-01-01T00:00:05.12Z d",
        "2026-01-01T00:00:06Z e",
    ]
    assert [position.new(text) for text in again] == [None, None, None, "d", "e"]


def test_a_reason_shared_by_many_pods_names_three() -> None:
    pods = tuple(f"demo-worker-{number}" for number in range(5))
    text = str(Reason("taint", "the pod does not tolerate a taint", "Tolerate it.", pods))
    assert text == (
        "demo-worker-0, demo-worker-1, demo-worker-2 and 2 more: "
        "the pod does not tolerate a taint. Tolerate it."
    )


def status(pods: list[Pod]) -> Status:
    return Status(
        name="demo",
        namespace="kubeflow",
        job="demo",
        state="running",
        exit_code=None,
        ranks=512,
        ranks_alive=504,
        progress=None,
        checkpoint="",
        evaluation={},
        failed_evaluation=None,
        run_dir="",
        claim="",
        seconds_since_step=None,
        log="read",
        network=Transport(),
        network_advice="",
        ignored_change="",
        reasons=[],
        pods=pods,
    )


def test_of_many_workers_only_the_exceptions_are_shown() -> None:
    pods = [Pod(f"demo-worker-{n}", "worker", "Running", True, 0, f"p4d-{n}") for n in range(63)]
    rows = status([*pods, Pod("demo-worker-63", "worker", "Pending", False, 0, "")]).pod_rows()
    assert rows == [
        ("demo-worker-63", "Pending", "no", "0", ""),
        ("63 workers", "Running", "yes", "0", "63 nodes"),
    ]


RUNNING = {
    "metadata": {"name": "demo", "namespace": "kubeflow"},
    "status": {"conditions": [{"type": "Running", "status": "True"}]},
}


def test_status_shows_checkpoint_and_evaluation_as_the_trainer_writes_them() -> None:
    lines = (
        Checkpoint(100, "model-100"),
        Evaluation(100, "val2017", 5000, {"bbox/AP50": 0.4512, "segm/AP50": 0.4071}),
        Progress(150, 3500, 1, 18, 0.7123, 121.5, 70),
    )
    cells = summary(Snapshot(RUNNING), [f"[1,0]<stdout>:{line.line()}" for line in lines], ()).cells()
    assert cells[3:] == (
        *("150/3500", "1/18", "0.7123", "121.5", "0:01:10"),
        *("model-100", "box AP50 0.451  mask AP50 0.407"),
    )


def test_status_shows_checkpoint_and_evaluation_of_tensorpacks_own_example() -> None:
    log = [
        "[1,0]<stdout>:\x1b[32m[1121 13:00:00 @saver.py:82]\x1b[0m Model saved to /efs/ml/demo/model-100.",
        "[1,0]<stdout>:\x1b[32m[1121 13:00:00 @monitor.py:471]\x1b[0m mAP(bbox)/IoU=0.5: 0.4512",
    ]
    assert summary(Snapshot(RUNNING), log, ()).cells()[-2:] == ("model-100", "box AP50 0.451")


def test_status_warns_of_an_evaluation_that_failed() -> None:
    failed = EvaluationFailed(100, "val2017", "annotation 7 has no area")
    assert summary(Snapshot(RUNNING), [failed.line()], ()).lines() == [
        "warning: the evaluation of val2017 at step 100 failed: annotation 7 has no area"
    ]


def test_status_warns_of_a_running_job_without_a_step_for_minutes() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    log = [Progress(150, 3500, 1, 18, 0.7123, 121.5, 70).line()]
    for minutes, warned in ((12, True), (1, False)):
        status = summary(Snapshot(RUNNING, time=now), log, (), now - timedelta(minutes=minutes))
        lines = [line for line in status.lines() if line.startswith(f"warning: no step for {minutes} min.")]
        assert bool(lines) == warned


def ready_pod(role: str) -> dict[str, object]:
    return {
        "metadata": {"name": f"demo-{role}-0", "labels": {ROLE_LABEL: role}},
        "spec": {"nodeName": "p4d-0"},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    }


@pytest.mark.parametrize(
    ("roles", "reason"), [(["worker"], "launcher-missing"), (["worker", "launcher"], "status-outdated")]
)
def test_a_job_that_waits_although_all_pods_are_ready_is_explained(roles: list[str], reason: str) -> None:
    replicas = {"Worker": {"replicas": 1}}
    job = {"metadata": {"name": "demo", "namespace": "ml"}, "spec": {"mpiReplicaSpecs": replicas}}
    job["status"] = {"conditions": [{"type": "Created", "status": "True"}]}
    pods = [ready_pod(role) for role in roles]
    assert [explained.reason for explained in reasons.explain(Snapshot(job, pods=pods))] == [reason]
