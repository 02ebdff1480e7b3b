"""Reading a request's body: bounded in size, in time, and in what all requests together hold in memory."""

import asyncio
import contextlib
from collections.abc import Iterator

from starlette.requests import Request

from mrc_serve.errors import RequestError

DISCARD_SECONDS = 5.0
"""How long the rest of a rejected body is read, so that a client that only writes sees the answer."""

IDLE_SECONDS = 0.5
"""A client that sends nothing for so long waits for the answer already."""

SMALLEST = 64 * 1024
"""Bytes that even an empty body counts as."""


class BodyReader:
    """Reads bodies of at most ``limit`` bytes in ``timeout`` seconds, ``budget`` bytes at any one time."""

    def __init__(self, limit: int, timeout: float, budget: int) -> None:
        self._limit, self._timeout = limit, timeout
        self._free = budget

    @contextlib.contextmanager
    def reservation(self, request: Request) -> Iterator[None]:
        """Hold memory for the request's body within the block.

        Raises:
            RequestError: 413 for a body that says that it is too long, 503 when there is no memory for it.
        """
        declared = request.headers.get("content-length")
        size = int(declared) if declared else self._limit
        if size > self._limit:
            raise self._too_long(f"{size} bytes")
        size = max(size, SMALLEST)
        if size > self._free:
            raise RequestError(503, "too many requests are sending their bodies", retry_after=1)
        self._free -= size
        try:
            yield
        finally:
            self._free += size

    async def read(self, request: Request) -> bytes:
        """The body. Raises RequestError 413 or 408, and starlette's ClientDisconnect."""
        body = bytearray()
        try:
            async with asyncio.timeout(self._timeout):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > self._limit:
                        raise self._too_long("more")
        except TimeoutError:
            raise RequestError(
                408,
                f"the body did not arrive within {self._timeout:g} seconds (MRC_SERVE_BODY_TIMEOUT)",
                close=True,
            ) from None
        request.state.body_read = True
        return bytes(body)

    def _too_long(self, size: str) -> RequestError:
        return RequestError(
            413, f"a body of {size}; at most {self._limit} bytes (MRC_SERVE_MAX_BODY)", close=True
        )


async def discard(request: Request, limit: int) -> None:
    """Read up to ``limit`` bytes of what is still to come of the body, and drop them."""
    if getattr(request.state, "body_read", False):
        return
    with contextlib.suppress(Exception):
        async with asyncio.timeout(DISCARD_SECONDS):
            while limit > 0:
                message = await asyncio.wait_for(request.receive(), IDLE_SECONDS)
                if not message.get("more_body", False):
                    return
                limit -= len(message["body"])
