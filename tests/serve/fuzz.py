"""Malformed requests at random, each of which has to end with a status of 4xx and one line.

As a program: ``python tests/serve/fuzz.py EXPORTED --requests 10000``.
"""

import argparse
import contextlib
import json
import random
import re
import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from inference_server import Server

BODY_TIMEOUT = "0.3"
"""Seconds; a body that stops halfway is rejected after it."""

HUGE_HEADER = 200_000


def image(rng: random.Random, suffix: str) -> bytes:
    pixels = np.random.default_rng(rng.getrandbits(32)).integers(0, 256, (48, 64, 3), np.uint8)
    return bytes(cv2.imencode(suffix, pixels)[1])


def post(body: bytes, *headers: str, query: str = "", length: int | None = None) -> bytes:
    lines = [f"POST /invocations{query} HTTP/1.1", "Host: fuzz", *headers]
    lines.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def truncated(rng: random.Random) -> bytes:
    content = image(rng, rng.choice([".jpg", ".png", ".webp"]))
    return post(content[: rng.randrange(len(content) - 12)])


def overwritten_header(rng: random.Random) -> bytes:
    """A PNG whose header claims any size; its checksum does not match."""
    content = bytearray(image(rng, ".png"))
    content[16:24] = rng.randbytes(8)
    return post(bytes(content))


def npy(rng: random.Random) -> bytes:
    shape = rng.choice(
        ["(48, 64, 4)", "(10**9, 10**9, 3)", "(48,)", "(0, 4, 3)", "(-1, 2, 3)", "'" * 99, "(7, 7, 3)"]
    )
    kind = rng.choice(["|u1", "<f8", "|O", "|V16", "("])
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(118) + b"\n"
    return post(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + rng.randbytes(100))


def wrong_type(rng: random.Random) -> bytes:
    start = rng.choice(
        [b"GIF89a", b"BM", b"%PDF-1.7", b"--boundary\r\n", b"\x1f\x8b", b"PK\x03\x04", b"", b"<svg>"]
    )
    return post(
        start + rng.randbytes(rng.randrange(2000)), f"Content-Type: {rng.choice(['image/jpeg', 'x'])}"
    )


def noise_after_magic(rng: random.Random) -> bytes:
    magic = rng.choice([b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF\0\0\0\0WEBP", b"\x93NUMPY"])
    return post(magic + rng.randbytes(rng.randrange(500)))


def json_line(rng: random.Random) -> bytes:
    return post(
        rng.choice([b"{", b'{"image": 1}', b'{"image": "%"}', b'{"image": "aaaa"}', b'{"a": ' * 5000])
    )


def stops_halfway(rng: random.Random) -> bytes:
    content = image(rng, ".jpg")
    return post(content[:100], length=len(content))


def too_long(rng: random.Random) -> bytes:
    return post(b"", length=rng.choice([10**7, 10**12, 2**63]))


def bad_length(rng: random.Random) -> bytes:
    return post(b"x", f"Content-Length: {rng.choice(['-1', 'abc', '1, 2'])}")


def huge_header(rng: random.Random) -> bytes:
    return b"POST /invocations HTTP/1.1\r\nX: " + b"a" * rng.randrange(70_000, HUGE_HEADER) + b"\r\n\r\n"


def not_http(rng: random.Random) -> bytes:
    return rng.randbytes(50) + b"\r\n\r\n"


def wrong_query(rng: random.Random) -> bytes:
    query = rng.choice(
        ["threshold=2", "threshold=nan", "max=-1", "max=1e3", "max=\u0663", "top=1", "threshold="]
    )
    return post(image(rng, ".jpg"), query=f"?{query.encode().hex(':') if not query.isascii() else query}")


def wrong_method(rng: random.Random) -> bytes:
    method, path = rng.choice(
        [("GET", "/invocations"), ("POST", "/ping"), ("GET", "/../etc/passwd"), ("PUT", "/")]
    )
    return f"{method} {path} HTTP/1.1\r\nHost: fuzz\r\nContent-Length: 0\r\n\r\n".encode()


def bad_chunk(rng: random.Random) -> bytes:
    return (
        b"POST /invocations HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
        + rng.randbytes(20)
    )


KINDS: list[Callable[[random.Random], bytes]] = [
    *(truncated, overwritten_header, npy, wrong_type, noise_after_magic, json_line, stops_halfway, too_long),
    *(bad_length, huge_header, not_http, wrong_query, wrong_method, bad_chunk),
]


def exchange(port: int, request: bytes) -> bytes:
    """The first response to raw bytes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        with contextlib.suppress(OSError):  # it has answered already
            connection.sendall(request)
        response = b""
        while True:
            try:
                part = connection.recv(65536)
            except ConnectionResetError:
                return response
            response += part
            head, separator, body = response.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head.lower())
            if not part or (separator and length and len(body) >= int(length[1])):
                return response


def attack(server: Server, number: int) -> tuple[str, str]:
    """Send the malformed request with this number; returns its kind and the status, or what was wrong."""
    rng = random.Random(number)
    kind = KINDS[number % len(KINDS)]
    response = exchange(server.port, kind(rng))
    match = re.match(rb"HTTP/1.1 (4\d\d) ", response)
    head, _, body = response.partition(b"\r\n\r\n")
    if b"chunked" in head:  # uvicorn's own answer to what is no HTTP
        body = body.partition(b"\r\n")[2].partition(b"\r\n")[0]
    if not match or body.rstrip(b"\n").count(b"\n") or not body:
        return kind.__name__, f"number {number}: {response[:300]!r}"
    return kind.__name__, match[1].decode()


def attack_all(server: Server, numbers: range) -> Counter[tuple[str, str]]:
    """Outcomes of many malformed requests, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(lambda number: attack(server, number), numbers))


def memory(server: Server) -> int:
    """Memory of the server in bytes, without the pages of libraries, which it shares with other processes."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1024 * int(status.partition("RssAnon:")[2].split()[0])


def main() -> None:
    """Attack a server of its own and print outcomes and memory."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--requests", type=int, default=10_000)
    arguments = parser.parse_args()
    server = Server(arguments.model, MRC_SERVE_BODY_TIMEOUT=BODY_TIMEOUT).ready()
    outcomes = attack_all(server, range(1000))
    before = memory(server)
    outcomes += attack_all(server, range(1000, arguments.requests))
    after = memory(server)
    for (kind, outcome), count in sorted(outcomes.items()):
        print(f"{kind:20} {outcome:6} {count}")
    print(json.dumps({"after 1000": before, "at the end": after, "ratio": round(after / before, 3)}))
    print(f"alive: {server.get('/ping').status}, SIGTERM: exit code {server.stop()}")


if __name__ == "__main__":
    main()
