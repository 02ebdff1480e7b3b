"""Connecting to a cluster: problems with the kubeconfig or the network are one line with the fix."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from mrc_values.cluster.client import NODES, ClusterError, Forbidden, Unreachable, connect


def kubeconfig(directory: Path, server: str, **user: Any) -> Path:
    """A kubeconfig with the contexts ``here`` (current) and ``team``."""
    file = directory / "kubeconfig"
    contexts = [
        {"name": "here", "context": {"cluster": "c", "user": "u"}},
        {"name": "team", "context": {"cluster": "c", "user": "u", "namespace": "vision"}},
    ]
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": user or {"token": "t"}}],
        "contexts": contexts,
        "current-context": "here",
    }
    file.write_text(yaml.safe_dump(config))
    return file


def message(error: pytest.ExceptionInfo[ClusterError]) -> str:
    assert error.value.exit_code == 3
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_context_gives_server_and_namespace(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, "https://example.invalid")
    assert (connect(kubeconfig=file).context, connect(kubeconfig=file).namespace) == ("here", "default")
    assert connect("team", file).namespace == "vision"
    assert connect("team", file).server == "https://example.invalid"


def test_an_unknown_context_is_reported_with_the_available_ones(tmp_path: Path) -> None:
    file = kubeconfig(tmp_path, "https://example.invalid")
    with pytest.raises(ClusterError) as error:
        connect("prod", file)
    assert (
        message(error)
        == f"{file}: no context prod. Available contexts: here, team. Select one with --context."
    )


def test_the_environment_variable_selects_the_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, "https://example.invalid")))
    assert connect().server == "https://example.invalid"


def test_a_missing_kubeconfig_is_reported_with_how_to_create_one(tmp_path: Path) -> None:
    with pytest.raises(ClusterError) as error:
        connect(kubeconfig=tmp_path / "none")
    assert message(error) == (
        f"{tmp_path / 'none'}: kubeconfig not found. Set KUBECONFIG, or create one; on EKS: "
        "aws eks update-kubeconfig --name CLUSTER."
    )


@pytest.mark.parametrize("text", ["a: [", "[1, 2]", "just text", "", "\x00"])
def test_an_invalid_kubeconfig_is_one_line(tmp_path: Path, text: str) -> None:
    file = tmp_path / "kubeconfig"
    file.write_text(text)
    with pytest.raises(ClusterError) as error:
        connect(kubeconfig=file)
    assert message(error).startswith(f"{file}: ")


def test_a_failed_login_program_is_named(tmp_path: Path) -> None:
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "no-such-login",
        "interactiveMode": "Never",
    }
    file = kubeconfig(tmp_path, "https://example.invalid", exec=program)
    with pytest.raises(ClusterError) as error:
        connect(kubeconfig=file)
    assert message(error).startswith("context here: its login program failed: ")
    assert "no-such-login" in message(error)


def test_a_closed_port_is_unreachable(tmp_path: Path) -> None:
    cluster = connect(kubeconfig=kubeconfig(tmp_path, "https://127.0.0.1:1"))
    with pytest.raises(Unreachable) as error:
        list(cluster.list(NODES))
    assert message(error) == (
        "https://127.0.0.1:1: cannot be reached (Connection refused). Check the network or VPN, and that "
        "context here names the right cluster."
    )


def test_an_unknown_host_is_unreachable(tmp_path: Path) -> None:
    cluster = connect(kubeconfig=kubeconfig(tmp_path, "https://cluster.invalid"))
    with pytest.raises(Unreachable) as error:
        list(cluster.list(NODES))
    assert message(error).startswith("https://cluster.invalid: cannot be reached (")


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_server_that_does_not_respond_times_out(
    tmp_path: Path, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mrc_values.cluster import client

    cluster = connect(kubeconfig=kubeconfig(tmp_path, silent))
    began = time.monotonic()
    with (
        pytest.raises(Unreachable) as error,
        cluster.stream(NODES.url(), {}, "list nodes", timeout=(0.5, 0.5)),
    ):
        pass
    assert message(error).startswith(f"{silent}: no answer in time, to list nodes.")
    assert time.monotonic() - began < client.TIMEOUT[1]


def answering(status: str, body: str) -> Iterator[str]:
    """A server that answers one request."""
    import threading

    server = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(65536)
            head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
            connection.sendall(f"{head}Connection: close\r\n\r\n{body}".encode())

    thread = threading.Thread(target=answer)
    thread.start()
    with server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join()


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (
            "401 Unauthorized",
            ClusterError,
            "rejects the credentials of context here (401). Log in again",
        ),
        (
            "403 Forbidden",
            Forbidden,
            "you are not allowed to list nodes (403). Ask for a role with the verb list on nodes. "
            "The server: no rights",
        ),
        ("429 Too Many Requests", Unreachable, "cannot list nodes now (429): no rights. Try again."),
        ("503 Service Unavailable", Unreachable, "cannot list nodes now (503): no rights. Try again."),
        ("418 Teapot", ClusterError, "cannot list nodes (418): no rights"),
    ],
)
def test_a_rejected_request_is_reported_with_the_servers_message(
    tmp_path: Path, status: str, kind: type[ClusterError], words: str
) -> None:
    for server in answering(status, '{"kind": "Status", "message": "no rights"}'):
        cluster = connect(kubeconfig=kubeconfig(tmp_path, server))
        with pytest.raises(kind) as error:
            list(cluster.list(NODES))
        assert message(error).startswith(f"{server}: {words}")


def test_a_response_that_is_not_from_kubernetes_is_one_line(tmp_path: Path) -> None:
    for server in answering("200 OK", "<html>proxy</html>"):
        cluster = connect(kubeconfig=kubeconfig(tmp_path, server))
        with pytest.raises(ClusterError) as error:
            list(cluster.list(NODES))
        assert message(error).startswith(f"{server}: ")


def test_only_the_end_of_a_huge_log_is_kept(tmp_path: Path) -> None:
    from mrc_values.cluster import client

    body = "x" * (client.MAX_LOG_BYTES + 1000) + "the end"
    for server in answering("200 OK", body):
        log = connect(kubeconfig=kubeconfig(tmp_path, server)).log("ns", "demo-launcher")
        assert (len(log), log[-7:]) == (client.MAX_LOG_BYTES, "the end")
