"""A proxy in front of the S3 server that hurts a share of the ranged reads."""

import asyncio
import random
import threading
from collections import Counter

ERRORS = {
    "slow": (503, "SlowDown", "Please reduce your request rate."),
    "internal": (500, "InternalError", "We encountered an internal error."),
    "expired": (400, "ExpiredToken", "The provided token has expired."),
    "denied": (403, "AccessDenied", "Access Denied"),
    "kms": (403, "AccessDenied", "User is not authorized to perform: kms:Decrypt on the resource"),
    "changed": (412, "PreconditionFailed", "At least one of the pre-conditions did not hold."),
}
KINDS = ("slow", "internal", "cut", "flip", "reset")

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class HurtingProxy:
    """Listens on loopback; ``counts`` says how reads were hurt, ``reads`` all ranges asked for.
    The next ``spared`` reads are not hurt, and no more than ``limit`` in all."""

    def __init__(self, upstream: int, share: float, kinds: tuple[str, ...] = KINDS) -> None:
        self.counts: Counter[str] = Counter()
        self.reads: list[str] = []
        self.share, self.kinds, self.spared = share, kinds, 0
        self.limit = 1 << 30
        self._upstream = upstream
        self._random = random.Random(3)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        )
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(_cancel_others(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream: Streams | None = None
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                body = await reader.readexactly(_length(head))
                kind = self._kind(head)
                if kind in ERRORS:
                    writer.write(_error(*ERRORS[kind]))
                elif kind == "reset":
                    writer.transport.abort()
                    return
                else:
                    upstream = upstream or await asyncio.open_connection("127.0.0.1", self._upstream)
                    upstream[1].write(head + body)
                    await self._answer(upstream[0], writer, head, kind)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
            if upstream:
                upstream[1].close()

    def _kind(self, request: bytes) -> str:
        """How to hurt this request; empty: not at all."""
        ranges = [line for line in request.split(b"\r\n") if line.lower().startswith(b"range:")]
        if not ranges or not request.startswith(b"GET"):
            return ""
        self.reads.append(f"{request.split()[1].decode()} {ranges[0].decode()}")
        if self.spared:
            self.spared -= 1
            return ""
        if self._random.random() >= self.share or self.counts.total() >= self.limit:
            return ""
        kind = self._random.choice(self.kinds)
        self.counts[kind] += 1
        return kind

    async def _answer(
        self, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes, kind: str
    ) -> None:
        head = await upstream.readuntil(b"\r\n\r\n")
        empty = request.startswith(b"HEAD") or b" 204 " in head[:20]
        body = bytearray(await upstream.readexactly(0 if empty else _length(head)))
        where = self._random.randrange(len(body)) if kind and body else 0
        if kind == "flip" and body:
            body[where] ^= 0xFF
        writer.write(head + bytes(body[:where] if kind == "cut" else body))
        if kind == "cut":
            await writer.drain()
            raise ConnectionError


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def _length(head: bytes) -> int:
    lines = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return int(lines[0].partition(b":")[2]) if lines else 0


def _error(status: int, code: str, message: str) -> bytes:
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body
