"""mrc-values list"""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from mrc_values.arguments import Context, Format, Kubeconfig


def list_(
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", metavar="NS", help="Releases of one namespace only.")
    ] = None,
    format: Annotated[Format, typer.Option(help="json: a list of objects, for programs.")] = Format.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the releases of these charts in all namespaces, and how their jobs stand.

    Example: mrc-values list

    Exit code: 0, also with none; 3 the cluster could not be reached or refused.
    """
    from mrc_cli.terminal import table

    from mrc_values.cluster import client, releases
    from mrc_values.cluster.overview import overview

    cluster = client.connect(context, kubeconfig)
    helm = releases.helm(cluster, namespace or cluster.namespace, kubeconfig)
    rows = overview(cluster, helm.releases(everywhere=namespace is None))
    if format is Format.JSON:
        typer.echo(json.dumps([asdict(row) for row in rows], indent=2))
        return
    if not rows:
        typer.echo("no releases of these charts. Start one with mrc-values install.", err=True)
        return
    header = ("release", "namespace", "chart", "revision", "status", "updated", "job", "state")
    table(header, [tuple(asdict(row).values()) for row in rows])
