"""How the hosts of a job find one another: over HTTP, on the network between them.

Every other host posts its public host key to the first one and gets the public key of its ssh client. Then it
asks for the job's result until there is one. Both sides check each message's signature.
"""

import http.client
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from mrc_train.sagemaker import messages
from mrc_train.sagemaker.programs import Ended

PORT = 7592

HELD_SECONDS = 20.0
"""How long the server holds a request for the result before it answers that there is none yet."""

REQUEST_TIMEOUT = 30.0
"""Seconds; longer than a request is held."""


class Server(ThreadingHTTPServer):
    """The first host's side.

    Attributes:
        keys: public host keys by host, as they arrive.
        told: hosts that know the result.
        rejected: addresses whose messages had a wrong signature.
    """

    daemon_threads = True

    def __init__(self, address: str, token: str, others: Sequence[str], client_key: str) -> None:
        self.token = token
        self.others = others
        self.client_key = client_key
        self.keys: dict[str, str] = {}
        self.told: set[str] = set()
        self.rejected: set[str] = set()
        self.result: Ended | None = None
        self.finished = threading.Event()
        super().__init__((address, PORT), _Handler)

    def start(self) -> None:
        """Answer requests in threads of their own until the process ends."""
        threading.Thread(target=self.serve_forever, name="mrc-rendezvous", daemon=True).start()

    def finish(self, result: Ended) -> None:
        """Tell the hosts that ask from now on."""
        self.result = result
        self.finished.set()


class _Handler(BaseHTTPRequestHandler):
    server: Server
    timeout = REQUEST_TIMEOUT

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: requests are no news."""

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > messages.MAX_BYTES:
            self._answer(413)
            return
        data = self.rfile.read(int(length))
        purpose = {"/join": "join", "/result": "ask"}.get(self.path, "")
        content = messages.unpack(self.server.token, purpose, data) if purpose else None
        if content is None:
            self.server.rejected.add(self.client_address[0])
            self._answer(403)
        elif content.get("host") not in self.server.others:
            self._answer(409)
        elif purpose == "join":
            self._join(content["host"], str(content.get("key")))
        else:
            self._result(content["host"])

    def _join(self, host: str, key: str) -> None:
        if self.server.keys.setdefault(host, key) != key:
            self._answer(409)
            return
        self._answer(200, messages.pack(self.server.token, "welcome", host=host, key=self.server.client_key))

    def _result(self, host: str) -> None:
        if not self.server.finished.wait(HELD_SECONDS) or self.server.result is None:
            self._answer(202)
            return
        ended = self.server.result
        self._answer(200, messages.pack(self.server.token, "result", code=ended.code, reason=ended.reason))
        self.server.told.add(host)

    def _answer(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def post(host: str, path: str, body: bytes) -> tuple[int, bytes]:
    """Status and body of the first host's answer. Raises OSError when there is none."""
    connection = http.client.HTTPConnection(host, PORT, timeout=REQUEST_TIMEOUT)
    try:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        return answer.status, answer.read(messages.MAX_BYTES)
    except http.client.HTTPException as error:
        raise OSError(str(error) or type(error).__name__) from error
    finally:
        connection.close()
