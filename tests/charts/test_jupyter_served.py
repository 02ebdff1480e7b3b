"""The real Jupyter with exactly what the chart renders: https, token, folders."""

import json
import os
import ssl
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from servers import command_of, free_port, running, server


@dataclass
class Lab:
    """A server that runs: its address, its token, and the file with its output."""

    port: int
    token: str
    log: Path
    trusted: ssl.SSLContext
    notebooks: Path

    def get(self, path: str, token: str = "") -> tuple[int, bytes]:
        """Status and body of an answer by https."""
        connection = HTTPSConnection("localhost", self.port, timeout=30, context=self.trusted)
        connection.request("GET", path, headers={"Authorization": f"token {token}"} if token else {})
        answer = connection.getresponse()
        return answer.status, answer.read()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("pod")
    port = free_port()
    found = server("jupyter", target_port=port)
    for name in ("efs", "home", "tls"):
        (folder / name).mkdir()
    for name, content in found.secrets["demo-jupyter-tls"].items():
        (folder / "tls" / name).write_bytes(content)
    token = found.secrets["demo-jupyter-token"]["token"].decode()
    folders = {"/efs": folder / "efs", "/home/jupyter": folder / "home", "/etc/jupyter-tls": folder / "tls"}
    command, environment = command_of(found, folders, token)
    command = [argument.replace("--ServerApp.ip=*", "--ServerApp.ip=127.0.0.1") for argument in command]
    if os.getuid() == 0:  # not so in the pod
        command.append("--allow-root")
    trusted = ssl.create_default_context(cafile=str(folder / "tls" / "tls.crt"))
    lab = Lab(port, token, folder / "log", trusted, folder / "efs" / "kubeflow" / "demo-jupyter")
    path = found.container["startupProbe"]["httpGet"]["path"]
    with running(command, environment, lab.log) as process:
        deadline = time.monotonic() + 120
        while True:
            try:
                assert lab.get(path)[0] == 200
                break
            except ConnectionError:
                assert process.poll() is None, lab.log.read_text()
                assert time.monotonic() < deadline, lab.log.read_text()
                time.sleep(0.1)
        yield lab


def test_the_probe_s_page_needs_no_token_and_says_no_more_than_the_version(lab: Lab) -> None:
    status, body = lab.get("/api")
    assert (status, set(json.loads(body))) == (200, {"version"})


def test_http_is_refused(lab: Lab) -> None:
    connection = HTTPConnection("localhost", lab.port, timeout=30)
    with pytest.raises((ConnectionError, HTTPException)):
        connection.request("GET", "/api")
        connection.getresponse()


@pytest.mark.parametrize("path", ["/api/contents", "/api/terminals", "/api/kernels"])
def test_without_the_token_nothing_is_to_be_had(lab: Lab, path: str) -> None:
    assert lab.get(path)[0] == 403
    assert lab.get(path, "wrong")[0] == 403
    assert lab.get(f"{path}?token=wrong")[0] == 403
    assert lab.get(path, lab.token)[0] == 200


def test_the_page_opens_on_the_user_s_folder(lab: Lab) -> None:
    status, page = lab.get("/lab", lab.token)
    start = page.index(b"{", page.index(b'id="jupyter-config-data"'))
    settings: dict[str, Any] = json.JSONDecoder().raw_decode(page[start:].decode())[0]
    assert status == 200
    assert f"/{settings['preferredPath']}" == str(lab.notebooks)


def test_notebooks_are_written_to_the_shared_file_system(lab: Lab) -> None:
    (lab.notebooks / "kept.txt").write_text("here")
    status, body = lab.get(f"/api/contents{lab.notebooks}/kept.txt", lab.token)
    assert (status, json.loads(body)["content"]) == (200, "here")


def test_the_token_is_not_in_the_log(lab: Lab) -> None:
    assert lab.get(f"/lab?token={lab.token}")[0] == 200
    log = lab.log.read_text()
    assert "/lab?token=..." in log
    assert lab.token not in log


def test_a_folder_that_cannot_be_written_is_a_sentence_and_the_pod_s_own_is_used(tmp_path: Path) -> None:
    in_the_way, home = tmp_path / "efs", tmp_path / "home"
    in_the_way.touch()
    home.mkdir()
    command, environment = command_of(server("jupyter"), {"/efs": in_the_way, "/home/jupyter": home}, "t")
    (tmp_path / "jupyter").write_text('#!/bin/sh\npwd\necho "$*"\n')
    (tmp_path / "jupyter").chmod(0o755)
    environment["PATH"] = f"{tmp_path}:{environment['PATH']}"
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    place, arguments = result.stdout.splitlines()
    assert result.returncode == 0
    assert place == str(home)
    assert arguments.endswith(f" --FileContentsManager.preferred_dir={str(home).removeprefix('/')}")
    assert result.stderr.startswith(
        f"start: {in_the_way}/kubeflow/demo-jupyter is not writable for user {os.getuid()}, "
        f"group {os.getgid()}, so notebooks go to {home} and end with the pod. Make it so once"
    )
    assert result.stderr.count("\n") == 1
