"""mrc-values list"""

import json
from dataclasses import asdict
from typing import Annotated

import typer
from mrc_cli.terminal import result, say, table

from mrc_values.arguments import Context, Format, Kubeconfig


def list_(
    namespace: Annotated[
        str | None, typer.Option("-n", "--namespace", metavar="NS", help="Only releases in this namespace.")
    ] = None,
    format: Annotated[
        Format, typer.Option(help="Output format; json: a list of objects, for programs.")
    ] = Format.TEXT,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """List the releases of these charts in all namespaces, with the states of their jobs.

    Jobs without a Helm release are listed as well, and so are training jobs and endpoints on SageMaker that
    ACK's controller manages.

    Example: mrc-values list

    Exit code: 0, also without releases; 3 when the cluster cannot be reached or denies the request.
    """
    from mrc_values.cluster import client, releases
    from mrc_values.cluster.overview import overview

    cluster = client.connect(context, kubeconfig)
    helm = releases.helm(cluster, namespace or cluster.namespace, kubeconfig)
    rows = overview(cluster, helm.releases(everywhere=namespace is None), namespace)
    if format is Format.JSON:
        result(json.dumps([asdict(row) for row in rows], indent=2))
        return
    if not rows:
        say("no releases of these charts. Start one with mrc-values install.")
        return
    header = ("release", "namespace", "chart", "revision", "status", "updated", "kind", "job", "state")
    table(header, [tuple(asdict(row).values()) for row in rows])
