"""One line of JSON for each request, and its metrics. Nothing of an image's content is ever logged."""

import json
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from mrc_cli.terminal import result
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mrc_serve.metrics import Metrics

CLIENT_GONE = 499
"""nginx's status for a client that closed the connection before the answer."""

_QUIET = frozenset(("/ping", "/metrics"))
"""Asked every few seconds; logged only when the answer is an error."""


class AccessLog:
    """ASGI middleware. An endpoint may add fields to ``scope["log"]``."""

    def __init__(self, app: ASGIApp, metrics: Metrics, paths: frozenset[str]) -> None:
        self._app, self._metrics, self._paths = app, metrics, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.monotonic()
        status, sent, received = CLIENT_GONE, 0, 0
        fields: dict[str, Any] = {}
        scope["log"] = fields

        async def counted_send(message: Message) -> None:
            nonlocal status, sent
            status = message.get("status", status)
            sent += len(message.get("body", b""))
            await send(message)

        async def counted_receive() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            return message

        try:
            await self._app(scope, counted_receive, counted_send)
        finally:
            path = scope["path"]
            seconds = time.monotonic() - started
            known = path if path in self._paths else "other"
            self._metrics.requests.labels(known, str(status)).inc()
            if path == "/invocations" and status == 200:
                self._metrics.seconds.observe(seconds)
            if status >= 400 or path not in _QUIET:
                line = {
                    "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                    "client": (scope.get("client") or ("",))[0],
                    "method": scope["method"],
                    "path": path[:200],
                    "status": status,
                    "seconds": round(seconds, 4),
                    "bytes_in": received,
                    "bytes_out": sent,
                }
                with suppress(OSError):  # a full disk under the log costs no answer
                    result(json.dumps(line | fields))
