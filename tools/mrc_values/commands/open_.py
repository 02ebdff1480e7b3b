"""mrc-values open"""

import base64
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from mrc_values.arguments import Context, Kubeconfig, Namespace

if TYPE_CHECKING:
    from mrc_values.cluster.client import Cluster
    from mrc_values.cluster.ports import Server


def open_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release.")],
    what: Annotated[str, typer.Argument(metavar="SERVER", help="jupyter or tensorboard.")],
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of this machine. [default: a free one]")
    ] = 0,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Make a release's Jupyter or TensorBoard reachable in this machine's browser, until Ctrl-C.

    Listens on 127.0.0.1 only. Jupyter's token is shown on a terminal only. A replaced pod is found again.

    Example: mrc-values open maskrcnn tensorboard

    Exit code: 0 after Ctrl-C; 1 when there is nothing to open; 3 when the cluster cannot be reached or
    refuses.
    """
    from mrc_cli.errors import UsageError, UserError

    from mrc_values.cluster import ports, reading
    from mrc_values.cluster.client import connect

    if what not in ports.COMPONENTS:
        raise UsageError(f"{what}: there is no such server. Give jupyter or tensorboard.")
    cluster = connect(context, kubeconfig)
    server = ports.server(cluster, name, reading.places(cluster, namespace), what)
    if ports.ready_pod(cluster, server) is None:
        raise UserError(f"{server.name}: {ports.why_not_ready(cluster, server)}")
    forwarder = ports.Forwarder(cluster, server, _say, port)
    try:
        typer.echo(f"{server.scheme}://127.0.0.1:{forwarder.port}/{_token(cluster, server)}")
        _say("Ctrl-C ends it.")
        forwarder.run()
    except KeyboardInterrupt:
        _say("closed.")
    finally:
        forwarder.close()


def _token(cluster: "Cluster", server: "Server") -> str:
    """The token as a part of the address, for a terminal; what is piped or logged does not get it."""
    from mrc_values.cluster.client import SECRETS
    from mrc_values.cluster.objects import at

    if not server.secret:
        return ""
    if not sys.stdout.isatty():
        _say(
            f"its token: kubectl get secret --namespace {server.namespace} {server.secret} "
            "--output jsonpath='{.data.token}' | base64 --decode"
        )
        return ""
    secret = cluster.get(SECRETS, server.secret, server.namespace)
    return f"?token={base64.b64decode(at(secret, 'data').get('token', '')).decode()}"


def _say(text: str) -> None:
    typer.echo(f"mrc-values: {text}", err=True)
