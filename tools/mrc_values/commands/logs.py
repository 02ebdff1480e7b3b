"""mrc-values logs"""

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from mrc_values.arguments import Context, Kubeconfig, Namespace

if TYPE_CHECKING:
    from mrc_values.cluster.logs import Line
    from mrc_values.cluster.objects import Object


def logs(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release, or of its MPIJob.")],
    follow: Annotated[
        bool, typer.Option("-f", "--follow", help="Wait for the pod, and go on until the job ends.")
    ] = False,
    rank: Annotated[int | None, typer.Option(min=0, metavar="N", help="Only what this rank prints.")] = None,
    launcher: Annotated[
        bool, typer.Option("--launcher", help="The launcher, with what all ranks print. The default.")
    ] = False,
    workers: Annotated[
        bool, typer.Option("--workers", help="The workers' own pods (sshd), each line with its pod.")
    ] = False,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Print what a training job has printed, over all starts of its launcher.

    With NCCL_DEBUG=INFO, the charts' default, it also says on stderr which network NCCL uses.

    Example: mrc-values logs maskrcnn -f --rank 0

    Exit code: 0; 1 when there is nothing to read; 3 when the cluster cannot be reached or refuses.
    """
    from mrc_cli.errors import UsageError, UserError

    from mrc_values.cluster import logs as reading_logs
    from mrc_values.cluster import reading
    from mrc_values.cluster.client import connect
    from mrc_values.cluster.objects import text

    if rank is not None and workers:
        raise UsageError("--rank: what ranks print comes through the launcher. Leave out --workers.")
    roles = [role for role, wanted in (("launcher", launcher), ("worker", workers)) if wanted] or ["launcher"]
    cluster = connect(context, kubeconfig)
    mpijob = reading.find(cluster, name, namespace)
    if follow:
        place = text(mpijob, "metadata", "namespace")
        lines: Iterable[Line] = reading_logs.follow(
            cluster, place, text(mpijob, "metadata", "name"), roles, _say
        )
    else:
        from mrc_values.cluster import job, reasons

        snapshot = reading.read(cluster, mpijob)
        pods = [pod for pod in (*snapshot.launchers, *snapshot.workers) if job.role(pod) in roles]
        if not pods:
            who = " or ".join(roles)
            if job.state(mpijob) in (job.State.FINISHED, job.State.FAILED):
                where = job.run_dir(mpijob)
                raise UserError(
                    f"{name}: the {who} is gone, and its log with it. The run's own log: {where}."
                )
            why = " ".join(map(str, reasons.explain(snapshot)[:1]))
            raise UserError(f"{name}: no {who} has started; -f waits for it. {why}".rstrip())
        lines = reading_logs.printed(cluster, pods)
    _print(lines, rank, prefixed="worker" in roles, mpijob=mpijob)


def _print(lines: Iterable["Line"], rank: int | None, *, prefixed: bool, mpijob: "Object") -> None:
    """Prints lines, and once what they say of the network."""
    from mrc_train.run_lines import Progress

    from mrc_values.cluster import nccl
    from mrc_values.launcher_log import without_tag

    tag = re.compile(rf"\[\d+,{rank}\]<")
    of_nccl: list[str] = []
    told = False
    for line in lines:
        if not told and nccl.ANY.search(line.text):
            of_nccl.append(line.text)
        elif not told and of_nccl and Progress.parse(line.text):
            told = True
            _network(of_nccl, mpijob)
        if rank is not None:
            if not tag.match(line.text):
                continue
            typer.echo(without_tag(line.text))
        else:
            typer.echo(f"{line.pod} | {line.text}" if prefixed else line.text)
    if not told and of_nccl:
        _network(of_nccl, mpijob)


def _network(lines: list[str], mpijob: "Object") -> None:
    from mrc_values.cluster import nccl
    from mrc_values.cluster.status import network_advice

    found = nccl.transport(lines)
    if sentence := nccl.sentence(found):
        _say(f"network: {sentence}")
    if advice := network_advice(found, mpijob):
        _say(f"warning: {advice}")


def _say(text: str) -> None:
    typer.echo(f"mrc-values: {text}", err=True)
