"""`mrc-values local open`: Jupyter and TensorBoard for a release on this machine."""

import json
import os
import pty
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import psutil
import pytest
from local_run import LocalRun

NOTEBOOK = "test-model.ipynb"


@contextmanager
def on_a_terminal(run: LocalRun, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], str, str]]:
    """`mrc-values local open trial ...` on a terminal, after it has printed an address.

    Yields the process, the address without the token, and the token.
    """
    ours, its = pty.openpty()
    process = subprocess.Popen(run.argv("open", *arguments), stdout=its, stderr=subprocess.DEVNULL)
    os.close(its)
    try:
        with os.fdopen(ours) as screen:
            address, _, token = screen.readline().strip().partition("?token=")
            yield process, address, token
    finally:
        process.terminate()
        process.wait(timeout=30)


def status(url: str, token: str = "") -> int:
    request = Request(url, headers={"Authorization": f"token {token}"} if token else {})
    try:
        with urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except HTTPError as error:
        return error.code


def listening(process: subprocess.Popen[bytes]) -> set[str]:
    """Addresses of this machine on which a process or one of its children listens."""
    parent = psutil.Process(process.pid)
    addresses = set()
    for program in (parent, *parent.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):  # a child that has just ended
            for connection in program.net_connections():
                if connection.status == psutil.CONN_LISTEN:
                    addresses.add(connection.laddr.ip)
    return addresses


@pytest.fixture
def trained(run: LocalRun) -> LocalRun:
    """A release that has finished."""
    up = run.call("up", steps=1)
    assert up.returncode == 0, up.stderr
    return run


def test_jupyter_serves_the_test_notebook_only_with_its_token(trained: LocalRun) -> None:
    notebooks = trained.run_dir.with_name("trial-jupyter")
    notebooks.mkdir()
    (notebooks / NOTEBOOK).write_text("edited")
    with on_a_terminal(trained, "jupyter") as (process, address, token):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/lab", address)
        contents = address.removesuffix("lab") + f"api/contents{notebooks}"
        assert (status(contents), status(contents, "wrong"), status(contents, token)) == (403, 403, 200)
        assert (notebooks / NOTEBOOK).read_text() == "edited"
        assert listening(process) == {"127.0.0.1"}
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 0
        with pytest.raises(URLError):
            status(contents)
    assert token not in (trained.directory / "releases" / "trial.jupyter.log").read_text()


def test_the_notebook_is_copied_when_it_does_not_exist(trained: LocalRun) -> None:
    notebooks = trained.run_dir.with_name("trial-jupyter")
    with on_a_terminal(trained, "jupyter"):
        cells = json.loads((notebooks / NOTEBOOK).read_text())["cells"]
        assert "".join(cells[0]["source"]).startswith("# Test a trained Mask R-CNN")


def test_tensorboard_is_started_once(trained: LocalRun) -> None:
    first, second = (trained.call("open", "tensorboard") for _ in range(2))
    assert first.returncode == second.returncode == 0, first.stderr
    assert first.stdout == second.stdout
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\n", first.stdout)
    trained.call("down")


def test_an_inference_server_without_a_checkpoint_says_why(trained: LocalRun) -> None:
    done = trained.call("open", "serve")
    assert done.returncode == 1
    reason = f"{trained.run_dir}: the directory of a run without a complete checkpoint"
    assert f"mrc-serve did not start: mrc-serve: {reason}" in done.stderr


def test_an_unknown_server_is_rejected(trained: LocalRun) -> None:
    done = trained.call("open", "grafana")
    assert done.returncode == 2
    assert "grafana: unknown server. Use jupyter, tensorboard or serve." in done.stderr


def test_a_release_that_does_not_exist_is_named_in_the_error(run: LocalRun, tmp_path: Path) -> None:
    done = run.call("open", "jupyter")
    assert done.returncode == 1
    assert f"no local release trial in {tmp_path}" in done.stderr
