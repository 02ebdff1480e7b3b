"""The real Jupyter with exactly what the chart renders: https, token, directories."""

import json
import os
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import pytest
from server_charts import JupyterServer, command_of, jupyter, server


@pytest.fixture(scope="module")
def images_notebooks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("image")
    for name in ("new.ipynb", "edited.ipynb"):
        (directory / name).write_text("the image's")
    return directory


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, images_notebooks: Path) -> Iterator[JupyterServer]:
    directory = tmp_path_factory.mktemp("pod")
    there = directory / "efs" / "kubeflow" / "demo-jupyter"
    there.mkdir(parents=True)
    (there / "edited.ipynb").write_text("the user's")
    with jupyter(directory / "efs", directory / "pod", images_notebooks) as served:
        assert served.notebooks == there
        yield served


def test_the_probes_page_needs_no_token_and_contains_only_the_version(served: JupyterServer) -> None:
    status, body = served.get("/api")
    assert (status, set(json.loads(body))) == (200, {"version"})


def test_http_is_rejected(served: JupyterServer) -> None:
    connection = HTTPConnection("localhost", served.port, timeout=30)
    with pytest.raises((ConnectionError, HTTPException)):
        connection.request("GET", "/api")
        connection.getresponse()


@pytest.mark.parametrize("path", ["/api/contents", "/api/terminals", "/api/kernels"])
def test_every_page_requires_the_token(served: JupyterServer, path: str) -> None:
    assert served.get(path)[0] == 403
    assert served.get(path, "wrong")[0] == 403
    assert served.get(f"{path}?token=wrong")[0] == 403
    assert served.get(path, served.token)[0] == 200


def test_the_page_opens_on_the_user_s_directory(served: JupyterServer) -> None:
    status, page = served.get("/lab", served.token)
    start = page.index(b"{", page.index(b'id="jupyter-config-data"'))
    settings: dict[str, Any] = json.JSONDecoder().raw_decode(page[start:].decode())[0]
    assert status == 200
    assert f"/{settings['preferredPath']}" == str(served.notebooks)


def test_notebooks_are_written_to_the_shared_file_system(served: JupyterServer) -> None:
    (served.notebooks / "kept.txt").write_text("here")
    status, body = served.get(f"/api/contents{served.notebooks}/kept.txt", served.token)
    assert (status, json.loads(body)["content"]) == (200, "here")


def test_the_image_s_notebooks_are_there_but_never_overwrite_the_user_s(served: JupyterServer) -> None:
    assert (served.notebooks / "new.ipynb").read_text() == "the image's"
    assert (served.notebooks / "edited.ipynb").read_text() == "the user's"


def test_the_token_is_not_in_the_log(served: JupyterServer) -> None:
    assert served.get(f"/lab?token={served.token}")[0] == 200
    log = served.log.read_text()
    assert "/lab?token=..." in log
    assert served.token not in log


def test_a_directory_that_is_not_writable_is_reported_and_the_pods_own_is_used(tmp_path: Path) -> None:
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
        f"group {os.getgid()}, so notebooks are stored in {home} and lost with the pod. Run this once"
    )
    assert result.stderr.count("\n") == 1
