"""The test notebook in Chromium, in the container image of its pod."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from container_jupyter import change_owner, container, jupyter_in_container, output_of
from jupyterlab import ERRORS, cell, log_in, open_notebook, pixels, run_all
from mrc_viz.gallery import sample_images
from mrc_viz.runs import validation_splits
from playwright.sync_api import BrowserContext, Page, expect
from server_charts import JupyterServer
from testcluster import images
from trained_releases import ROOT, RUNS, Release

NOTEBOOK = "test-model.ipynb"
USER, GROUP = 1000, 100

Screenshot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def image() -> str:
    """The container image, built from this checkout."""
    if os.getuid() or not shutil.which("buildah"):
        pytest.skip("running the container image requires root and buildah")
    if not images.known(images.VIZ):
        pytest.skip(f"buildah has no {images.VIZ}; build it with: make cluster-up LEVEL=node")
    images.renew()
    return images.VIZ


@pytest.fixture(scope="module")
def pod(image: str) -> Iterator[str]:
    """A container of that image."""
    with container(image) as name:
        yield name


@pytest.fixture(scope="module")
def shared_fs(drawn_scenes: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared file system of a cluster with data and a run, owned by the pod's user."""
    efs = tmp_path_factory.mktemp("image") / "efs"
    run = efs / "kubeflow" / drawn_scenes.name
    shutil.copytree(drawn_scenes.directory, run)
    shutil.copytree(RUNS / "efs" / "scenes", efs / "scenes")
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace(f"{RUNS}/efs/", "/efs/"))
    change_owner(efs, USER, GROUP)
    return efs


@pytest.fixture(scope="module")
def container_server(
    pod: str, shared_fs: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    """Jupyter in the container, started as the chart does."""
    began = time.monotonic()
    with jupyter_in_container(pod, shared_fs, tmp_path_factory.mktemp("pod") / "first") as server:
        print(f"Jupyter of the image answers after {time.monotonic() - began:.1f} s")
        yield server


@pytest.fixture(scope="module")
def notebook(context: BrowserContext, container_server: JupyterServer) -> Iterator[Page]:
    """The notebook, opened from Jupyter's initial directory and run from top to bottom."""
    page = context.new_page()
    log_in(page, container_server)
    open_notebook(page, NOTEBOOK)
    run_all(page)
    yield page
    page.close()


def test_the_container_does_not_run_as_root(pod: str) -> None:
    assert output_of(pod, "id", "--user") == str(USER)
    assert output_of(pod, "id", "--group") == str(GROUP)


def test_jupyter_in_the_container_requires_the_token(container_server: JupyterServer) -> None:
    assert [
        container_server.get("/api/contents", token)[0] for token in ("", "wrong", container_server.token)
    ] == [
        403,
        403,
        200,
    ]


def test_files_written_by_the_container_belong_to_its_user(
    container_server: JupyterServer, shared_fs: Path
) -> None:
    copied = shared_fs / "kubeflow" / "demo-jupyter" / NOTEBOOK
    assert (copied.stat().st_uid, copied.stat().st_gid) == (USER, GROUP)
    assert copied.read_bytes() == (ROOT / "container-viz" / "notebooks" / NOTEBOOK).read_bytes()


def test_jupyter_in_the_container_shows_no_dialog(notebook: Page) -> None:
    assert notebook.locator(".Toastify__toast, .jp-Dialog").all_text_contents() == []


def test_the_notebook_in_the_container_shows_detections(
    notebook: Page, drawn_scenes: Release, screenshot: Screenshot
) -> None:
    assert notebook.locator(ERRORS).all_text_contents() == []
    output = cell(notebook, "show_detections(model, images)")
    (split,) = validation_splits(drawn_scenes.directory)
    objects = sum(len(record.boxes) for record in sample_images(split, 4))
    expect(output.locator("rect.mrc-ground-truth")).to_have_count(objects)
    assert output.locator("rect.mrc-detection").count() > 0
    assert pixels(output.locator("img").first).std() > 20
    output.evaluate("cell => cell.scrollIntoView()")
    screenshot(notebook, "image-detections")


def test_the_token_is_not_in_the_log_of_the_container(
    notebook: Page, container_server: JupyterServer
) -> None:
    log = container_server.log.read_text()
    assert "/lab" in log
    assert container_server.token not in log


def test_a_restart_does_not_overwrite_an_edited_notebook(
    pod: str, shared_fs: Path, tmp_path: Path, notebook: Page
) -> None:
    edited = shared_fs / "kubeflow" / "demo-jupyter" / NOTEBOOK
    edited.write_text(edited.read_text().replace("Test a trained Mask R-CNN", "Mine"))
    before = edited.read_text()
    with jupyter_in_container(pod, shared_fs, tmp_path / "second"):
        assert edited.read_text() == before
    assert "Mine" in before
