"""mrc-values open"""

import base64
import sys
from typing import TYPE_CHECKING, Annotated

import typer
from mrc_cli.errors import UsageError, UserError
from mrc_cli.terminal import result, say

from mrc_values.arguments import Context, Kubeconfig, Namespace

if TYPE_CHECKING:
    from mrc_values.cluster.client import Cluster
    from mrc_values.cluster.ports import Server


def open_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the release.")],
    kind: Annotated[str, typer.Argument(metavar="SERVER", help="jupyter, tensorboard or serve.")],
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port on this machine. [default: any free port]", show_default=False
        ),
    ] = 0,
    namespace: Namespace = None,
    context: Context = None,
    kubeconfig: Kubeconfig = None,
) -> None:
    """Forward a local port to a release's Jupyter, TensorBoard or inference server until Ctrl-C.

    Listens on 127.0.0.1 only. Tokens are printed only to a terminal. New connections go to the
    current pod, even after it has been replaced.

    Example: mrc-values open maskrcnn tensorboard

    Exit code: 0 after Ctrl-C; 1 when the server does not exist or is not ready; 3 when the cluster cannot be
    reached or denies the request.
    """
    from mrc_values.cluster import ports, reading
    from mrc_values.cluster.client import connect

    if kind not in ports.COMPONENTS:
        raise UsageError(f"{kind}: unknown server. Use jupyter, tensorboard or serve.")
    cluster = connect(context, kubeconfig)
    server = ports.server(cluster, name, reading.namespaces(cluster, namespace), kind)
    if ports.ready_pod(cluster, server) is None:
        raise UserError(f"{server.name}: {ports.why_not_ready(cluster, server)}")
    forwarder = ports.Forwarder(cluster, server, _say, port)
    try:
        result(f"{server.scheme}://127.0.0.1:{forwarder.port}/{_token(cluster, server)}")
        _say("Press Ctrl-C to stop.")
        forwarder.run()
    except KeyboardInterrupt:
        _say("stopped.")
    finally:
        forwarder.close()


def _token(cluster: "Cluster", server: "Server") -> str:
    """The token as a part of Jupyter's URL; TensorBoard's is printed as the password that a browser asks for.

    For a terminal only: it must not end up in pipes or log files.
    """
    from mrc_values.cluster.client import SECRETS
    from mrc_values.cluster.objects import at

    if not server.secret:
        return ""
    if not sys.stdout.isatty():
        _say(
            f"token: kubectl get secret --namespace {server.namespace} {server.secret} "
            "--output jsonpath='{.data.token}' | base64 --decode"
        )
        return ""
    secret = cluster.get(SECRETS, server.secret, server.namespace)
    token = base64.b64decode(at(secret, "data").get("token", "")).decode()
    if server.kind == "tensorboard":
        _say(f"any user name, password {token}")
        return ""
    return f"?token={token}"


def _say(text: str) -> None:
    say(f"mrc-values: {text}")
