"""mrc-values logs"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError, UserError
from mrc_cli.terminal import result, say

from mrc_values.arguments import Context, Kubeconfig, Namespace

if TYPE_CHECKING:
    from mrc_values.cluster.logs import Line
    from mrc_values.cluster.objects import Object


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release or of its MPIJob.")],
    follow: Annotated[
        bool,
        typer.Option(
            "-f", "--follow", help="Wait for the pod, and keep printing new lines until the job ends."
        ),
    ] = False,
    rank: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only the lines of this rank.")] = None,
    launcher: Annotated[
        bool,
        typer.Option("--launcher", help="The launcher, with the output of all ranks. This is the default."),
    ] = False,
    workers: Annotated[
        bool, typer.Option("--workers", help="The worker pods (sshd); each line starts with its pod.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print the output of a training job, including that of earlier attempts of its launcher.

    With NCCL_DEBUG=INFO, the default of the charts, the network that NCCL uses is reported on stderr.

    Example: mrc-values logs maskrcnn -f --rank 0

    Exit code: 0; 1 when there is no log; 3 when the cluster cannot be reached or denies the request.
    """
    from mrc_values.cluster import logs as pod_logs
    from mrc_values.cluster import reading, sagemaker, staging
    from mrc_values.cluster.client import connect
    from mrc_values.cluster.objects import text

    if rank is not None and workers:
        raise UsageError("--rank: the output of ranks is in the launcher's log. Leave out --workers.")
    roles = [role for role, wanted in (("launcher", launcher), ("worker", workers)) if wanted] or ["launcher"]
    cluster = connect(context, kubeconfig)
    try:
        mpijob = reading.find(cluster, name, namespace)
    except reading.JobNotFound:
        if staged := staging.find(cluster, name, namespace):
            if rank is not None or workers or launcher:
                raise UsageError(f"{name}: a stage-data job has no ranks, workers or launcher.") from None
            for line in staging.log(cluster, staged, follow, _say):
                result(f"{line.pod} | {line.text}")
            return
        if items := sagemaker.find(cluster, name, namespace):
            job_name = text(items[0], "metadata", "name")
            raise UserError(
                f"{name} trains on SageMaker, which keeps its log: mrc-sagemaker logs {job_name}"
            ) from None
        raise
    if follow:
        job_namespace, title = text(mpijob, "metadata", "namespace"), text(mpijob, "metadata", "name")
        followed = pod_logs.of_mpijob(cluster, job_namespace, title, roles)
        lines: Iterable[Line] = pod_logs.follow(cluster, followed, _say)
    else:
        from mrc_values.cluster import job, reasons

        snapshot = reading.read(cluster, mpijob)
        pods = [pod for pod in (*snapshot.launchers, *snapshot.workers) if job.role(pod) in roles]
        if not pods:
            kind = " or ".join(roles)
            if job.state(mpijob) in (job.State.FINISHED, job.State.FAILED):
                raise UserError(
                    f"{name}: the {kind} pod no longer exists, nor does its log. "
                    f"The run's own log is in {job.run_dir(mpijob)}."
                )
            why = " ".join(map(str, reasons.explain(snapshot)[:1]))
            raise UserError(f"{name}: no {kind} has started; -f waits for it. {why}".rstrip())
        lines = pod_logs.printed(cluster, pods)
    _print(lines, rank, prefixed="worker" in roles, mpijob=mpijob)


def _print(lines: Iterable["Line"], rank: int | None, *, prefixed: bool, mpijob: "Object") -> None:
    """Print lines, and report the network once NCCL's lines are complete."""
    from mrc_train.run_lines import Progress

    from mrc_values.cluster import nccl
    from mrc_values.launcher_log import without_colors, without_tag

    tag = re.compile(rf"\[\d+,{rank}\]<")
    nccl_lines: list[str] = []
    reported = False
    for line in lines:
        if not reported and nccl.ANY.search(line.text):
            nccl_lines.append(line.text)
        elif not reported and nccl_lines and Progress.parse(line.text):
            reported = True
            _report_network(nccl_lines, mpijob)
        text = without_colors(line.text)
        if rank is not None:
            if tag.match(line.text):
                result(without_tag(text))
        else:
            result(f"{line.pod} | {text}" if prefixed else text)
    if not reported and nccl_lines:
        _report_network(nccl_lines, mpijob)


def _report_network(lines: list[str], mpijob: "Object") -> None:
    from mrc_values.cluster import nccl
    from mrc_values.cluster.status import network_advice

    transport = nccl.transport(lines)
    if sentence := nccl.sentence(transport):
        _say(f"network: {sentence}")
    if advice := network_advice(transport, mpijob):
        _say(f"warning: {advice}")


def _say(text: str) -> None:
    say(f"mrc-values: {text}")
