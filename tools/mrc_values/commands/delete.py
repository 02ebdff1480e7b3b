"""mrc-values delete"""

from typing import TYPE_CHECKING

import typer
from mrc_cli.errors import UserError

from mrc_values.arguments import Context, Kubeconfig, Name, Namespace

if TYPE_CHECKING:
    from mrc_values.cluster.releases import Release


def delete(
    name: Name, namespace: Namespace = None, context: Context = None, kubeconfig: Kubeconfig = None
) -> None:
    """Delete a release: its pods and services go; logs, checkpoints and data stay.

    A training that runs is stopped; the same install resumes it from its newest checkpoint.

    Example: mrc-values delete maskrcnn

    Exit code: 0 deleted, 1 there is no such release, 3 the cluster could not be reached or refused.
    """
    from mrc_values.cluster import client, releases

    cluster = client.connect(context, kubeconfig)
    helm = releases.helm(cluster, namespace or cluster.namespace, kubeconfig)
    release = helm.release(name)
    if release is None:
        there = ", ".join(each["name"] for each in helm.releases(everywhere=False)) or "none"
        raise UserError(f"{name}: no such release in the namespace {helm.namespace} (there: {there}).")
    stays = _what_stays(release)
    helm.uninstall(name)
    for line in stays:
        typer.echo(f"stays: {line}", err=True)
    if any(line.startswith("the run") for line in stays):
        typer.echo("mrc-values install with the same values resumes from the newest checkpoint.", err=True)


def _what_stays(release: "Release") -> list[str]:
    from mrc_values.cluster.remains import remains

    return remains(str(release.get("manifest", "")))
