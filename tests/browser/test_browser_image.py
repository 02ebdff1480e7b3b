"""The test notebook in Chromium, against the image of the notebook's pod."""

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_run import KEPT, ROOT, Release
from image_lab import container, jupyter_of_image, owned_by, printed
from lab_page import ERRORS, cell, log_in, open_notebook, pixels, run_all
from mrc_viz.gallery import sample_images
from mrc_viz.runs import validation_splits
from playwright.sync_api import BrowserContext, Page, expect
from server_charts import JupyterServer
from testcluster import images

NOTEBOOK = "test-model.ipynb"
USER, GROUP = 1000, 100

Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def image() -> str:
    """The image, of this checkout."""
    if os.getuid() or not shutil.which("buildah"):
        pytest.skip("the image runs by root and with buildah only")
    if not images.known(images.VIZ):
        pytest.skip(f"buildah has no {images.VIZ}: make cluster-up LEVEL=node builds it")
    images.renew()
    return images.VIZ


@pytest.fixture(scope="module")
def pod(image: str) -> Iterator[str]:
    """A container of the image."""
    with container(image) as name:
        yield name


@pytest.fixture(scope="module")
def shared(drawn_scenes: Release, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared file system of a cluster: the data and a run on them, all of it the pod's user's."""
    efs = tmp_path_factory.mktemp("image") / "efs"
    run = efs / "kubeflow" / drawn_scenes.name
    shutil.copytree(drawn_scenes.folder, run)
    shutil.copytree(KEPT / "efs" / "scenes", efs / "scenes")
    settings = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(settings.replace(f"{KEPT}/efs/", "/efs/"))
    owned_by(efs, USER, GROUP)
    return efs


@pytest.fixture(scope="module")
def image_lab(pod: str, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JupyterServer]:
    """Jupyter of the image, as the chart runs it."""
    began = time.monotonic()
    with jupyter_of_image(pod, shared, tmp_path_factory.mktemp("pod") / "first") as lab:
        print(f"Jupyter of the image answers after {time.monotonic() - began:.1f} s")
        yield lab


@pytest.fixture(scope="module")
def notebook(context: BrowserContext, image_lab: JupyterServer) -> Iterator[Page]:
    """The notebook, opened from the folder that Jupyter opens on, and run from top to bottom."""
    page = context.new_page()
    log_in(page, image_lab)
    open_notebook(page, NOTEBOOK)
    run_all(page)
    yield page
    page.close()


def test_the_image_runs_as_a_user_of_its_own(pod: str) -> None:
    assert printed(pod, "id", "--user") == str(USER)
    assert printed(pod, "id", "--group") == str(GROUP)


def test_the_image_s_jupyter_wants_the_token(image_lab: JupyterServer) -> None:
    assert [image_lab.get("/api/contents", token)[0] for token in ("", "wrong", image_lab.token)] == [
        403,
        403,
        200,
    ]


def test_what_the_pod_writes_is_its_user_s(image_lab: JupyterServer, shared: Path) -> None:
    copied = shared / "kubeflow" / "demo-jupyter" / NOTEBOOK
    assert (copied.stat().st_uid, copied.stat().st_gid) == (USER, GROUP)
    assert copied.read_bytes() == (ROOT / "container-viz" / "notebooks" / NOTEBOOK).read_bytes()


def test_the_image_s_jupyter_asks_nothing(notebook: Page) -> None:
    assert notebook.locator(".Toastify__toast, .jp-Dialog").all_text_contents() == []


def test_the_notebook_in_the_image_shows_detections(
    notebook: Page, drawn_scenes: Release, shoot: Shoot
) -> None:
    assert notebook.locator(ERRORS).all_text_contents() == []
    output = cell(notebook, "show_detections(model, images)")
    (split,) = validation_splits(drawn_scenes.folder)
    truth = sum(len(record.boxes) for record in sample_images(split, 4))
    expect(output.locator("rect.mrc-ground-truth")).to_have_count(truth)
    assert output.locator("rect.mrc-detection").count() > 0
    assert pixels(output.locator("img").first).std() > 20
    output.evaluate("cell => cell.scrollIntoView()")
    shoot(notebook, "image-detections")


def test_the_token_is_not_in_the_image_s_log(notebook: Page, image_lab: JupyterServer) -> None:
    log = image_lab.log.read_text()
    assert "/lab" in log
    assert image_lab.token not in log


def test_another_start_leaves_an_edited_notebook_as_it_is(
    pod: str, shared: Path, tmp_path: Path, notebook: Page
) -> None:
    edited = shared / "kubeflow" / "demo-jupyter" / NOTEBOOK
    edited.write_text(edited.read_text().replace("Test a trained Mask R-CNN", "Mine"))
    before = edited.read_text()
    with jupyter_of_image(pod, shared, tmp_path / "second"):
        assert edited.read_text() == before
    assert "Mine" in before
