"""TensorBoard with HTTP Basic authentication: any user name, and the token as the password.

TensorBoard itself has no authentication. The server's application is wrapped, so that every request is
checked except those for /healthz, which Kubernetes and load balancers send without a password.

Arguments: those of tensorboard. Environment: TENSORBOARD_TOKEN.
"""

import base64
import binascii
import hmac
import os
import sys

from tensorboard import default, program


def password(header):
    """The password in an Authorization header, as bytes; empty if there is none."""
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return b""
    try:
        return base64.b64decode(credentials, validate=True).partition(b":")[2]
    except (binascii.Error, ValueError):
        return b""


def guarded(app, token):
    """The WSGI application, for requests with the token."""

    def checked(environ, start_response):
        if environ.get("PATH_INFO") == "/healthz":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok\n"]
        if hmac.compare_digest(password(environ.get("HTTP_AUTHORIZATION", "")), token):
            return app(environ, start_response)
        challenge = (
            "WWW-Authenticate",
            'Basic realm="TensorBoard: any user name, the token as the password"',
        )
        start_response("401 Unauthorized", [challenge, ("Content-Type", "text/plain")])
        return [b"This TensorBoard requires its token as the password.\n"]

    return checked


class GuardedServer(program.WerkzeugServer):
    def __init__(self, wsgi_app, flags):
        super().__init__(guarded(wsgi_app, os.environ["TENSORBOARD_TOKEN"].strip().encode()), flags)


if __name__ == "__main__":
    if not os.environ["TENSORBOARD_TOKEN"].strip():
        sys.exit("TENSORBOARD_TOKEN is empty: the Secret's key token has no value.")
    tensorboard = program.TensorBoard(plugins=default.get_plugins(), server_class=GuardedServer)
    tensorboard.configure(["tensorboard", *sys.argv[1:]])
    sys.exit(tensorboard.main())
