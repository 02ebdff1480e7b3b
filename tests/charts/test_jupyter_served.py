"""The real Jupyter with exactly what the chart renders: https, token, folders."""

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
    folder = tmp_path_factory.mktemp("image")
    for name in ("new.ipynb", "edited.ipynb"):
        (folder / name).write_text("the image's")
    return folder


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, images_notebooks: Path) -> Iterator[JupyterServer]:
    folder = tmp_path_factory.mktemp("pod")
    there = folder / "efs" / "kubeflow" / "demo-jupyter"
    there.mkdir(parents=True)
    (there / "edited.ipynb").write_text("the user's")
    with jupyter(folder / "efs", folder / "pod", images_notebooks) as lab:
        assert lab.notebooks == there
        yield lab


def test_the_probe_s_page_needs_no_token_and_says_no_more_than_the_version(lab: JupyterServer) -> None:
    status, body = lab.get("/api")
    assert (status, set(json.loads(body))) == (200, {"version"})


def test_http_is_refused(lab: JupyterServer) -> None:
    connection = HTTPConnection("localhost", lab.port, timeout=30)
    with pytest.raises((ConnectionError, HTTPException)):
        connection.request("GET", "/api")
        connection.getresponse()


@pytest.mark.parametrize("path", ["/api/contents", "/api/terminals", "/api/kernels"])
def test_without_the_token_nothing_is_to_be_had(lab: JupyterServer, path: str) -> None:
    assert lab.get(path)[0] == 403
    assert lab.get(path, "wrong")[0] == 403
    assert lab.get(f"{path}?token=wrong")[0] == 403
    assert lab.get(path, lab.token)[0] == 200


def test_the_page_opens_on_the_user_s_folder(lab: JupyterServer) -> None:
    status, page = lab.get("/lab", lab.token)
    start = page.index(b"{", page.index(b'id="jupyter-config-data"'))
    settings: dict[str, Any] = json.JSONDecoder().raw_decode(page[start:].decode())[0]
    assert status == 200
    assert f"/{settings['preferredPath']}" == str(lab.notebooks)


def test_notebooks_are_written_to_the_shared_file_system(lab: JupyterServer) -> None:
    (lab.notebooks / "kept.txt").write_text("here")
    status, body = lab.get(f"/api/contents{lab.notebooks}/kept.txt", lab.token)
    assert (status, json.loads(body)["content"]) == (200, "here")


def test_the_image_s_notebooks_are_there_but_never_overwrite_the_user_s(lab: JupyterServer) -> None:
    assert (lab.notebooks / "new.ipynb").read_text() == "the image's"
    assert (lab.notebooks / "edited.ipynb").read_text() == "the user's"


def test_the_token_is_not_in_the_log(lab: JupyterServer) -> None:
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
        f"group {os.getgid()}, so notebooks are stored in {home} and lost with the pod. Run this once"
    )
    assert result.stderr.count("\n") == 1
