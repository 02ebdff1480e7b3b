"""Installing and upgrading a release: validation, preflight, diff, then Helm."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer
from mrc_cli.errors import UsageError, UserError
from mrc_cli.terminal import result, say

from mrc_values import printed
from mrc_values.documents import STDIN, stdin

if TYPE_CHECKING:
    from mrc_cli.findings import Finding

    from mrc_values.arguments import Given
    from mrc_values.check import Result
    from mrc_values.cluster.client import Cluster
    from mrc_values.cluster.releases import Helm


@dataclass(frozen=True)
class Deployment:
    """What to install or upgrade, and where.

    Attributes:
        verb: ``install`` or ``upgrade``.
        given: values files and flags such as ``--set``.
        namespace: None for the namespace of the context.
        runs_to_end: names of live runs that an upgrade may delete.
    """

    verb: str
    name: str
    chart: Path
    given: "Given"
    namespace: str | None
    context: str | None
    kubeconfig: Path | None
    runs_to_end: Sequence[str] = ()


def deploy(deployment: Deployment, *, wait: bool, dry_run: bool) -> None:
    """Install or upgrade a release.

    Raises UserError for findings and for the wrong verb, ServiceError when the cluster cannot be reached or
    denies a request.
    """
    from mrc_values import helm as rendering
    from mrc_values.cluster import changes, client, releases

    verb, name, chart = deployment.verb, deployment.name, deployment.chart
    try:
        rendering.check_release_name(name)
    except rendering.ValuesError as error:
        raise UsageError(f"{name}: {error}.") from None
    cluster = client.connect(deployment.context, deployment.kubeconfig)
    namespace = deployment.namespace or cluster.namespace
    checked = _check(deployment, namespace)
    helm = releases.helm(cluster, namespace, deployment.kubeconfig)
    live_manifest = _live_manifest(verb, name, cluster, helm)
    jobs = _preflight(deployment, namespace, checked, cluster)
    with _arguments(deployment) as arguments:
        if dry_run or verb == "upgrade":
            text = changes.diff(live_manifest, helm.rendered(verb, name, chart, arguments)).rstrip("\n")
            (result if dry_run else say)(text or "no changes.")
        if dry_run:
            say(f"{name}: nothing was changed (--dry-run).")
            return
        helm.apply(verb, name, chart, arguments)
    if wait:
        for job_namespace, job in jobs:
            _wait(cluster, job_namespace, job)


@contextmanager
def _arguments(deployment: Deployment) -> Iterator[list[str]]:
    """Helm's arguments for the values. Values from stdin are in a file until Helm has ended."""
    with tempfile.NamedTemporaryFile(prefix="mrc-values-", suffix=".yaml") as from_stdin:
        arguments = []
        for file in deployment.given.files:
            if file == STDIN:
                Path(from_stdin.name).write_bytes(stdin())
            arguments.append(f"--values={from_stdin.name if file == STDIN else file}")
        arguments += [f"{flag.option}={flag.expression}" for flag in deployment.given.flags]
        # Without --reset-values an upgrade would reuse values of the release, which have not been checked.
        yield [*arguments, "--reset-values"] if deployment.verb == "upgrade" else arguments


def _wait(cluster: "Cluster", namespace: str, job: str) -> None:
    """Wait until the job runs; exits with 1 if it fails first."""
    from mrc_values.change_printer import ChangePrinter
    from mrc_values.cluster import waiting

    with ChangePrinter() as printer:
        observe = partial(waiting.mpijob, cluster, namespace, job)
        outcome, _ = waiting.wait(observe, waiting.Goal.RUNNING, show=printer.show)
    if outcome is not waiting.Outcome.REACHED:
        raise typer.Exit(1)


def _check(deployment: Deployment, namespace: str) -> "Result":
    """Validate the values; errors end the command, warnings are printed."""
    from mrc_values.check import check

    checked = check(
        deployment.chart,
        deployment.given.files,
        deployment.given.flags,
        release=deployment.name,
        namespace=namespace,
    )
    _report(checked.findings)
    return checked


def _live_manifest(verb: str, name: str, cluster: "Cluster", helm: "Helm") -> str:
    """The manifest of the live release; empty if there is none. Raises UserError for the wrong verb."""
    from mrc_values.cluster.releases import status

    release = helm.release(name)
    where = f"in namespace {helm.namespace}"
    if release is None:
        if verb == "upgrade":
            raise helm.not_found(name, "Use mrc-values install.")
        return ""
    state = status(release)
    delete = printed.cluster("delete", name, helm.namespace)
    if state.startswith("pending"):
        raise UserError(
            f"{name}: the release {where} is {state}: another helm process is working on it, or one was "
            f"interrupted. In the latter case: {delete}, then install again."
        )
    if verb == "install":
        raise UserError(
            f"{name}: the release already exists {where} ({state}, revision {release.get('version')}). "
            f"Use mrc-values upgrade, or first: {delete}"
        )
    return str(release.get("manifest", ""))


def _preflight(
    deployment: Deployment, namespace: str, checked: "Result", cluster: "Cluster"
) -> list[tuple[str, str]]:
    """Check the cluster; errors end the command. Returns namespaces and names of the release's MPIJobs."""
    from mrc_values.cluster.preflight import preflight
    from mrc_values.cluster.preflight.planned import by_part, planned

    upgrade = deployment.verb == "upgrade"
    objects = planned(deployment.name, namespace, deployment.chart, checked, upgrade, deployment.runs_to_end)
    findings: list[Finding] = []
    for part, release in by_part(objects, checked):
        findings += [new for new in map(part.outer, preflight(cluster, release)) if new not in findings]
    _report(findings)
    metadata = (item["metadata"] for item in objects.of_kind("MPIJob"))
    return [(job["namespace"], job["name"]) for job in metadata]


def _report(findings: "list[Finding]") -> None:
    """Print errors and warnings. Raises UserError if there is an error."""
    from mrc_cli import reports
    from mrc_cli.findings import Severity, failing

    relevant = [finding for finding in findings if finding.severity is not Severity.INFO]
    if failing(findings):
        result(reports.text(relevant))
        raise UserError(f"{reports.summary(relevant)}. Nothing was changed.")
    for finding in relevant:
        say(str(finding))
