"""From the start of a server to its end, overload included."""

import base64
import http.client
import json
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from inference_server import Server, program, wait_for
from loopback import free_port
from mrc_cli.errors import UsageError
from mrc_serve.settings import from_environment

Start = Callable[..., Server]


def batch(jpeg: bytes, size: int) -> bytes:
    return b"\n".join([json.dumps({"image": base64.b64encode(jpeg).decode()}).encode()] * size)


def test_a_start_is_503_until_the_first_request_costs_no_more_than_the_tenth(
    start: Start, jpeg: bytes
) -> None:
    server = start(MODEL_SERVER_WORKERS="8")
    assert server.post(jpeg).headers["retry-after"] == "2"
    statuses: list[int] = []

    def is_ready() -> bool:
        statuses.append(server.get("/ping").status)
        return statuses[-1] == 200

    wait_for(is_ready)  # no connection is refused meanwhile
    assert set(statuses[:-1]) == {503}
    assert server.get("/ping").body == b"\n"
    costs = []
    for _ in range(10):
        before = server.metric("process_cpu_seconds_total")
        server.post(jpeg)
        costs.append(server.metric("process_cpu_seconds_total") - before)
    assert costs[0] < 3 * sorted(costs)[5] + 0.05
    # Any number of workers is one process with one model.
    assert psutil.Process(server.process.pid).children(recursive=True) == []


@pytest.fixture(scope="module")
def one_worker(exported: Path) -> Iterator[Server]:
    """A server that is easily overloaded; its last test ends it."""
    server = Server(exported, MODEL_SERVER_WORKERS="1", MRC_SERVE_QUEUE="7")
    yield server.ready()
    server.kill()


def test_overload_is_503_with_retry_after_while_ping_answers_and_ends_at_once(
    one_worker: Server, jpeg: bytes
) -> None:
    work = batch(jpeg, 10)
    with ThreadPoolExecutor(24) as pool:
        replies = [pool.submit(one_worker.post, work) for _ in range(20)]
        pings = []
        while not all(reply.done() for reply in replies):
            pings.append(one_worker.get("/ping").status)
        statuses = [reply.result().status for reply in replies]
    assert set(statuses) == {200, 503}
    assert statuses.count(200) >= 8
    assert set(pings) == {200}
    rejected = next(reply.result() for reply in replies if reply.result().status == 503)
    assert rejected.error == "the queue of 7 requests is full (MRC_SERVE_QUEUE)"
    assert int(rejected.headers["retry-after"]) >= 1
    assert one_worker.post(jpeg).status == 200


def test_past_the_deadline_the_answer_is_503(start: Start, jpeg: bytes) -> None:
    server = start(MODEL_SERVER_WORKERS="1", MODEL_SERVER_TIMEOUT="0.4").ready()
    reply = server.post(batch(jpeg, 200))
    assert reply.status == 503
    assert "within 0.4 seconds (MODEL_SERVER_TIMEOUT)" in reply.error
    assert reply.headers["retry-after"]
    wait_for(lambda: server.metric("mrc_serve_running_requests") == 0)
    assert wait_for(lambda: server.post(jpeg).status == 200)


def test_sigterm_finishes_what_was_accepted_and_exits_with_0(one_worker: Server, jpeg: bytes) -> None:
    port, work = one_worker.port, batch(jpeg, 15)
    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(one_worker.post, work) for _ in range(8)]
        wait_for(lambda: one_worker.metric("mrc_serve_waiting_requests") == 7)
        assert one_worker.stop() == 0
        assert [reply.result().status for reply in replies] == [200] * 8
    assert one_worker.lines[-1] == "mrc-serve: stopped"
    with pytest.raises(ConnectionRefusedError):
        http.client.HTTPConnection("127.0.0.1", port).request("GET", "/ping")


def pack(directory: Path, archive: Path, prefix: str = ".") -> None:
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(directory, prefix)


def test_a_log_on_a_full_disk_costs_no_answer(exported: Path, jpeg: bytes) -> None:
    port = free_port()
    command = [sys.executable, "-m", "mrc_serve.cli", str(exported), "--port", str(port)]
    with Path("/dev/full").open("w") as full, subprocess.Popen(command, stdout=full, stderr=full) as process:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

        def status(method: str, path: str, body: bytes | None = None) -> int:
            connection.request(method, path, body)
            response = connection.getresponse()
            response.read()
            return response.status

        def is_ready() -> bool:
            assert process.poll() is None
            try:
                return status("GET", "/ping") == 200
            except ConnectionRefusedError:
                connection.close()
                return False

        try:
            wait_for(is_ready)
            socket_of_all = connection.sock
            assert [status("POST", "/invocations", jpeg) for _ in range(3)] == [200] * 3
            assert status("GET", "/nothing") == 404
            assert connection.sock is socket_of_all, "the connection was closed"
        finally:
            process.terminate()
    assert process.returncode == 0


def test_a_model_tar_gz_is_unpacked_also_after_kill_9(
    start: Start, exported: Path, tmp_path: Path, jpeg: bytes
) -> None:
    pack(exported, tmp_path / "model.tar.gz")
    for _ in range(2):
        server = start(tmp_path).ready()
        assert server.post(jpeg).json()["detections"]
        server.stop(signal.SIGKILL)


def test_a_run_directory_is_served_with_its_newest_checkpoint(
    finished: Path, start: Start, jpeg: bytes
) -> None:
    server = start(finished, tensorpack=True).ready()
    assert server.post(jpeg, "?threshold=0").json()["detections"]


def nested(model: Path) -> None:
    model.rename(model.with_name("inner"))
    model.mkdir()
    model.with_name("inner").rename(model / "exported")


def nested_archive(model: Path) -> None:
    pack(model, model / "model.tar.gz", "exported")
    (model / "model.json").unlink()


def broken_archive(model: Path) -> None:
    (model / "model.json").unlink()
    (model / "model.tar.gz").write_bytes(b"\x1f\x8b not gzip")


def no_model(model: Path) -> None:
    shutil.rmtree(model)
    model.mkdir()
    (model / "weights.h5").touch()


def other_version(model: Path) -> None:
    content = json.loads((model / "model.json").read_text())
    (model / "model.json").write_text(json.dumps(content | {"format_version": 7}))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (nested, "model.json is in exported/, expected at the top; pack the model with: tar --create"),
        (nested_archive, "model.tar.gz: model.json is in exported/, expected at the top"),
        (broken_archive, "model.tar.gz: cannot be unpacked"),
        (no_model, "found weights.h5; expected model.json and saved_model.pb from mrc-predict --export"),
        (shutil.rmtree, "no such directory; expected model.json"),
        (other_version, "model.json: format version 7, expected 1"),
    ],
)
def test_a_wrong_layout_ends_with_one_line_that_names_path_and_expectation(
    damage: Callable[[Path], object], message: str, start: Start, exported: Path, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(exported, model)
    damage(model)
    server = start(model)
    assert server.wait() == 1
    assert server.lines[-1].startswith(f"mrc-serve: {model}")
    assert message in server.lines[-1]
    assert "Traceback" not in "".join(server.lines)


def test_a_run_directory_without_tensorpack_says_how_to_export_it(finished: Path, start: Start) -> None:
    server = start(finished)
    assert server.wait() == 1
    assert f"mrc-predict --load {finished} --export DIR" in server.lines[-1]


def test_a_taken_port_is_one_line(server: Server, exported: Path) -> None:
    done = program(str(exported), "--port", str(server.port))
    assert done.returncode == 1
    assert done.stderr == (
        f"mrc-serve: 127.0.0.1:{server.port}: address already in use; choose another --port or --host\n"
    )


def test_settings_come_from_the_environment_and_arguments_take_precedence() -> None:
    variables = {
        "MODEL_SERVER_WORKERS": "3",
        "MODEL_SERVER_TIMEOUT": "7.5",
        "MRC_SERVE_PORT": "1",
        "PATH": "/",
    }
    settings = from_environment(variables, port=99, host=None)
    assert (settings.workers, settings.timeout, settings.port, settings.host) == (3, 7.5, 99, "127.0.0.1")
    assert from_environment({"MRC_SERVE_QUEUE": ""}).queue == from_environment({}).queue == 16


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"MRC_SERVE_QUEUE": "many"}, "MRC_SERVE_QUEUE: 'many': input should be a valid integer"),
        (
            {"MODEL_SERVER_WORKERS": "0"},
            "MODEL_SERVER_WORKERS: '0': input should be greater than or equal to 1",
        ),
        ({"MRC_SERVE_MAX_BODIES": "1"}, "MRC_SERVE_MAX_BODIES: unknown variable; mrc-serve --help lists"),
        ({"MRC_SERVE_QUEU": "1"}, "MRC_SERVE_QUEU: unknown variable; did you mean MRC_SERVE_QUEUE?"),
    ],
)
def test_wrong_settings_are_usage_errors(variables: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError) as error:
        from_environment(variables)
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_help_lists_every_variable_with_its_default() -> None:
    text = program("--help").stdout
    for variable in ("MODEL_SERVER_WORKERS", "MODEL_SERVER_TIMEOUT", "MRC_SERVE_QUEUE", "MRC_SERVE_MAX_BODY"):
        assert variable in text
    assert "[default: 55.0]" in text
