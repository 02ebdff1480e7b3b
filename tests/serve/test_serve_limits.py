"""Requests that are no images: each is a 4xx with one line, and the server stays as it is."""

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import fuzz
import numpy as np
import pytest
from inference_server import Server, wait_for
from pseudo_terminal import TITLE, assert_harmless

CLASS = f"{TITLE}[red]\n{{forged}}<b>\u202e"


@pytest.fixture(scope="module")
def hasty(exported: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that does not wait long for bodies; all classes of its model have a hostile name."""
    model = tmp_path_factory.mktemp("hasty") / f"{TITLE}\nforged"
    shutil.copytree(exported, model)
    content = json.loads((model / "model.json").read_text())
    content["categories"]["names"] = [CLASS for _ in content["categories"]["names"]]
    (model / "model.json").write_text(json.dumps(content))
    server = Server(model, MRC_SERVE_BODY_TIMEOUT=fuzz.BODY_TIMEOUT)
    yield server.ready()
    server.kill()


def test_malformed_requests_are_4xx_with_one_line_and_leave_nothing_behind(
    hasty: Server, jpeg: bytes
) -> None:
    descriptors = hasty.metric("process_open_fds")
    outcomes = fuzz.attack_all(hasty, range(280))
    assert not [outcome for outcome in outcomes if not outcome[1].isdigit()]
    assert {kind for kind, _ in outcomes} == {kind.__name__ for kind in fuzz.KINDS}
    assert hasty.post(jpeg).status == 200
    # A client that left may still have an image in the model.
    wait_for(
        lambda: hasty.metric("mrc_serve_waiting_requests") == hasty.metric("mrc_serve_running_requests") == 0
    )
    wait_for(lambda: hasty.metric("process_open_fds") <= descriptors + 2)
    assert "Traceback" not in "".join(hasty.lines)


def test_hostile_class_names_are_data_in_answers_and_visible_in_the_log(hasty: Server, jpeg: bytes) -> None:
    detections = hasty.post(jpeg, "?threshold=0").json()["detections"]
    assert {detection["category"] for detection in detections} == {CLASS}
    assert hasty.post(jpeg, "?threshold=0", accept="image/png").status == 200
    assert not [line for line in hasty.lines if line.startswith("forged")]
    assert_harmless("\n".join(hasty.lines))


HOSTILE = b"\x1b]0;owned\x07\x9b2J\xe2\x80\xae"
QUOTED = b"%1b]0;owned%07%9b2J%0aforged%e2%80%ae%ff%ed%a0%80%00[red]"


@pytest.mark.parametrize(
    ("request_line", "header", "status"),
    [
        (b"GET /" + HOSTILE, b"X: y", 400),
        (b"GET /" + QUOTED, b"X: y", 404),
        (b"GET /../../etc/passwd", b"X: y", 404),
        (b"GET //..%5c..%2f..%2fetc%2fpasswd", b"X: y", 404),
        (HOSTILE + b" /", b"X: y", 400),
        (b"PROPFIND /", b"X: " + HOSTILE, 405),
        (b"POST /invocations?" + QUOTED + b"=1", b"X: y", 400),
        (b"POST /invocations?threshold=" + QUOTED, b"X: y", 400),
        (b"POST /invocations?max=" + QUOTED, b"X: y", 400),
        (b"POST /invocations", b"Accept: " + HOSTILE, 406),
        (b"POST /invocations", b"Content-Encoding: " + HOSTILE, 415),
        (b"POST /invocations", b"Content-Type: " + HOSTILE, 415),
    ],
)
def test_hostile_requests_are_one_visible_line_in_the_answer_and_in_the_log(
    server: Server, request_line: bytes, header: bytes, status: int
) -> None:
    before = len(server.lines)
    raw = request_line + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n" + header + b"\r\n\r\n"
    response = fuzz.exchange(server.port, raw)
    assert response.startswith(b"HTTP/1.1 %d " % status)
    _, _, body = response.partition(b"\r\n\r\n")
    assert body.decode("ascii").rstrip("\n").count("\n") == 0
    assert_harmless(body.decode())
    if b"application/json" in response:  # the others are no HTTP, and uvicorn's answer to it
        wait_for(lambda: len(server.lines) > before)
    assert_harmless("\n".join(server.lines[before:]))
    assert all(json.loads(line)["status"] == status for line in server.lines[before:])


@pytest.mark.parametrize(
    ("query", "headers", "status", "message"),
    [
        ("?threshold=2", {}, 400, "threshold=2: expected a number from 0 to 1"),
        ("?max=-1", {}, 400, "max=-1: expected an integer of 0 or more"),
        ("?top=3", {}, 400, "top: unknown parameter; use threshold and max"),
        ("", {"accept": "text/html"}, 406, "Accept: text/html: answers are application/json or image/png"),
        ("", {"content_encoding": "gzip"}, 415, "Content-Encoding is not supported"),
    ],
)
def test_a_request_for_what_does_not_exist_says_what_does(
    server: Server, jpeg: bytes, query: str, headers: dict[str, str], status: int, message: str
) -> None:
    reply = server.post(jpeg, query, **headers)
    assert reply.status == status
    assert reply.error.startswith(message)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        (b"", 415, "the body is empty; expected a JPEG, PNG, WebP or npy file"),
        (b"GIF89a", 415, "a body that starts with 47 49 46 38 39 61; expected"),
        (b"--x\r\nContent-Disposition: form-data", 415, "a multipart form; expected"),
        (b"aGVsbG8g" * 10, 415, "base64 or text; expected"),
        (b"\xff\xd8\xff\xe0", 400, "the image is truncated within its header"),
        (b'{"image": "aGVsbG8="}', 415, "a body that starts with 68 65 6c 6c 6f; expected"),
        (b"{}\n" * 1001, 413, "1001 lines; at most 1000 in one request"),
    ],
)
def test_what_is_no_image_is_named(server: Server, body: bytes, status: int, message: str) -> None:
    reply = server.post(body, content_type="image/jpeg")
    assert reply.status == status
    assert reply.error.startswith(message)


def claims(content: bytes, width: int, height: int) -> bytes:
    """An image file whose header claims another size."""
    if content[:4] == b"\x89PNG":
        return content[:16] + width.to_bytes(4, "big") + height.to_bytes(4, "big") + content[24:]
    frame = content.index(b"\xff\xc0") + 5
    return content[:frame] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + content[frame + 4 :]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_gigapixel_header_is_rejected_before_decoding(server: Server, suffix: str) -> None:
    small = cv2.imencode(suffix, np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    before = fuzz.memory(server)
    reply = server.post(claims(small, 40_000, 30_000))
    assert reply.status == 413
    assert "of 40000 x 30000 pixels; at most 25000000 pixels (MRC_SERVE_MAX_PIXELS)" in reply.error
    assert fuzz.memory(server) < before + 50_000_000


def test_a_decompression_bomb_is_rejected_before_decoding(server: Server) -> None:
    bomb = cv2.imencode(".png", np.zeros((9000, 9000), np.uint8))[1].tobytes()
    assert len(bomb) < 200_000
    before = fuzz.memory(server)
    assert server.post(bomb).status == 413
    assert fuzz.memory(server) < before + 50_000_000


def test_a_body_over_the_limit_is_rejected_though_the_client_only_writes(server: Server) -> None:
    reply = server.post(bytes(6 * 1024 * 1024 + 1))
    assert reply.status == 413
    assert reply.error == "a body of 6291457 bytes; at most 6291456 bytes (MRC_SERVE_MAX_BODY)"


def test_a_chunked_body_over_the_limit_is_rejected_as_it_grows(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(7):
            connection.sendall(b"100000\r\n" + bytes(0x100000) + b"\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_a_client_that_leaves_is_logged_and_costs_no_place(server: Server, jpeg: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
    deadline = time.monotonic() + 30
    while server.access_log()[-1]["status"] != 499 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert server.access_log()[-1]["status"] == 499
    assert server.post(jpeg).status == 200


def test_slow_bodies_do_not_keep_others_from_being_answered(server: Server, jpeg: bytes) -> None:
    connections = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(200)]
    try:
        for connection in connections:
            connection.sendall(b"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\nslow")
        assert server.post(jpeg).status == 200
        assert server.get("/ping").status == 200
    finally:
        for connection in connections:
            connection.close()


def test_errors_are_json_everywhere(server: Server) -> None:
    for method, path, status in (
        ("GET", "/nothing", 404),
        ("GET", "/invocations", 405),
        ("POST", "/ping", 405),
    ):
        reply = server.request(method, path)
        assert reply.status == status
        assert reply.headers["content-type"] == "application/json"
        assert reply.error


Start = Callable[..., Server]


def test_limits_are_settings(start: Start, jpeg: bytes) -> None:
    server = start(MRC_SERVE_MAX_BODY="2000", MRC_SERVE_MAX_PIXELS="2000").ready()
    assert server.post(bytes(2001)).error == "a body of 2001 bytes; at most 2000 bytes (MRC_SERVE_MAX_BODY)"
    tiny = cv2.imencode(".png", np.zeros((50, 50), np.uint8))[1].tobytes()
    assert "50 x 50 pixels; at most 2000 pixels" in server.post(tiny).error
    assert json.loads(server.post(cv2.imencode(".png", np.zeros((40, 50), np.uint8))[1].tobytes()).body)
