"""mrc-values install and mrc-values upgrade"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError, UserError

from mrc_values.commands.arguments import (
    Chart,
    Context,
    Kubeconfig,
    Namespace,
    Sets,
    ValuesFiles,
    chart_folder,
)

if TYPE_CHECKING:
    from mrc_cli.findings import Finding

    from mrc_values.check import Result
    from mrc_values.cluster.client import Cluster
    from mrc_values.cluster.releases import Helm

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the release.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until the job runs, and say why it does not yet.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show what would be done; change nothing.")]


def install(
    name: Name,
    chart: Chart = None,
    values: ValuesFiles = None,
    sets: Sets = None,
    namespace: Namespace = None,
    wait: Wait = False,
    dry_run: DryRun = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Install a release, after a look at the values and at the cluster.

    First `validate`, then a preflight: operator, claims, nodes and free GPUs, quota, rights and more
    (`mrc-values rules`, from MRC100 on). Errors stop, warnings do not. Then `helm install`: the release is
    an ordinary one, which `helm list` shows.

    Example: mrc-values install maskrcnn charts/maskrcnn -f values.yaml --wait

    Exit code: 0 installed, 1 findings or a name that is taken, 2 called wrongly, 3 the cluster could not be
    reached or refused.
    """
    _apply("install", name, chart_folder(chart), values, sets, namespace, wait, dry_run, context, kubeconfig)


def upgrade(
    name: Name,
    chart: Chart = None,
    values: ValuesFiles = None,
    sets: Sets = None,
    namespace: Namespace = None,
    wait: Wait = False,
    dry_run: DryRun = False,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Upgrade a release, after the same look and a diff against what is live.

    The release gets the values given here and the chart's defaults, none of those it had. A run that exists
    takes no other settings: set maskrcnn.run for a new one, or delete and install to resume.

    Example: mrc-values upgrade maskrcnn charts/maskrcnn -f values.yaml --set maskrcnn.run=b

    Exit code: as of install.
    """
    _apply("upgrade", name, chart_folder(chart), values, sets, namespace, wait, dry_run, context, kubeconfig)


def _apply(
    verb: str,
    name: str,
    chart: Path,
    files: list[Path] | None,
    sets: list[str] | None,
    namespace: str | None,
    wait: bool,
    dry_run: bool,
    context: str | None,
    kubeconfig: Path | None,
) -> None:
    from mrc_values import helm as rendering
    from mrc_values.cluster import changes, client, releases

    try:
        rendering.check_release_name(name)
    except rendering.ValuesError as error:
        raise UsageError(f"{name}: {error}.") from None
    cluster = client.connect(context, kubeconfig)
    namespace = namespace or cluster.namespace
    result = _checked(name, chart, files or [], sets or [], namespace)
    helm = releases.helm(cluster, namespace, kubeconfig)
    before = _live(verb, name, cluster, helm)
    jobs = _preflight(verb, name, chart, namespace, result, cluster)
    # Without --reset-values an upgrade without values takes those of the release, which nobody has checked.
    given = [f"--values={file}" for file in files or []] + [f"--set={each}" for each in sets or []]
    given += ["--reset-values"] if verb == "upgrade" else []
    if dry_run or verb == "upgrade":
        text = changes.diff(before, helm.rendered(verb, name, chart, given))
        typer.echo(text or "nothing changes.", nl=not text, err=not dry_run)
    if dry_run:
        _say(f"{name}: nothing was done (--dry-run).")
        return
    helm.apply(verb, name, chart, given)
    if wait:
        for job_namespace, job in jobs:
            _wait(cluster, job_namespace, job)


def _wait(cluster: "Cluster", namespace: str, job: str) -> None:
    """Until the job runs; exit code 1 when it fails before."""
    from mrc_values.cluster import waiting
    from mrc_values.commands.wait import Teller

    with Teller() as teller:
        outcome, _ = waiting.wait(cluster, namespace, job, waiting.Goal.RUNNING, show=teller.show)
    if outcome is not waiting.Outcome.REACHED:
        raise typer.Exit(1)


def _checked(name: str, chart: Path, files: list[Path], sets: list[str], namespace: str) -> "Result":
    """The values; errors end the command and warnings are said."""
    from mrc_values.check import check

    result = check(chart, files, sets, release=name, namespace=namespace)
    _report(result.findings, "Nothing was done")
    return result


def _live(verb: str, name: str, cluster: "Cluster", helm: "Helm") -> str:
    """The manifest of the live release, empty where there is none. Raises UserError for the wrong verb."""
    from mrc_values.cluster.releases import status

    release = helm.release(name)
    where = f"in the namespace {helm.namespace}"
    if release is None:
        if verb == "upgrade":
            there = ", ".join(each["name"] for each in helm.releases(everywhere=False)) or "none"
            raise UserError(f"{name}: no such release {where} (there: {there}). Use mrc-values install.")
        return ""
    state = status(release)
    if state.startswith("pending"):
        raise UserError(
            f"{name}: the release {where} is {state}: another helm works on it, or one was stopped. "
            f"If none does: mrc-values delete {name} --namespace {helm.namespace}, and install again."
        )
    if verb == "install":
        raise UserError(
            f"{name}: the release is there already {where} ({state}, revision {release.get('version')}). "
            f"Use mrc-values upgrade, or mrc-values delete {name} first."
        )
    return str(release.get("manifest", ""))


def _preflight(
    verb: str, name: str, chart: Path, namespace: str, result: "Result", cluster: "Cluster"
) -> list[tuple[str, str]]:
    """Looks at the cluster; errors end the command. The namespaces and names of the release's jobs."""
    from mrc_values.cluster.preflight import preflight
    from mrc_values.cluster.preflight.planned import planned

    wanted = planned(name, namespace, chart, result, upgrade=verb == "upgrade")
    _report(preflight(cluster, wanted), "Nothing was done")
    made = (item["metadata"] for item in wanted.of_kind("MPIJob"))
    return [(job["namespace"], job["name"]) for job in made]


def _report(found: "list[Finding]", otherwise: str) -> None:
    from mrc_cli import reports
    from mrc_cli.findings import Severity, failing

    shown = [finding for finding in found if finding.severity is not Severity.INFO]
    if failing(found):
        typer.echo(reports.text(shown))
        raise UserError(f"{reports.summary(shown)}. {otherwise}.")
    for finding in shown:
        _say(str(finding))


def _say(text: str) -> None:
    typer.echo(text, err=True)
