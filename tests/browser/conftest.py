"""Chromium, the servers that it visits, and the runs that they show. Screenshots are saved in .browser/."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from server_charts import JupyterServer, jupyter, tensorboard
from trained_releases import EXAMPLES, ROOT, SCREENSHOTS, Release

VIZ = ROOT / "container-viz"
ARGUMENTS = [
    "--no-sandbox",  # Chromium's sandbox does not work as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
]

DOC_FIGURES = {"detections": "notebook-detections", "classes": "notebook-classes"}
"""Screenshots shown in docs/notebook.md, with their file names there."""

# bfloat16 is slower than float32 on a CPU without AMX.
DRAWN_SCENES = Release(
    "maskrcnn",
    EXAMPLES / "drawn-scenes.yaml",
    (
        *("maskrcnn.fp16=false", "maskrcnn.steps_per_epoch=90", "maskrcnn.lr_schedule=[450]"),
        "maskrcnn.eval_period_in_epochs=5",
    ),
)
OPTIMIZED = Release(
    "optimized",
    EXAMPLES / "drawn-scenes.yaml",
    (
        "maskrcnn.fp16=false",
        "maskrcnn.images_per_epoch=80",
        r"maskrcnn.lr_epoch_schedule=[(2\, None)]",
        "maskrcnn.eval_period_in_epochs=2",
    ),
    chart="maskrcnn-optimized",
    start=DRAWN_SCENES,
)


@pytest.fixture(scope="session")
def efs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shared file system. It is not in .browser/ because Jupyter does not show hidden directories."""
    return tmp_path_factory.mktemp("shared") / "efs"


@pytest.fixture(scope="session")
def drawn_scenes(efs: Path, optimized: Release) -> Release:
    """A run on drawn scenes that detects many objects, or the run in MRC_TEST_RUN if that is set.

    It is saved after ``optimized``, so that the notebook selects it.
    """
    directory = os.environ.get("MRC_TEST_RUN")
    if directory:
        trained = Path(directory).absolute()
        return _train_and_share(replace(DRAWN_SCENES, name=trained.name, trained=trained), efs)
    return _train_and_share(DRAWN_SCENES, efs)


@pytest.fixture(scope="session")
def optimized(efs: Path) -> Release:
    """A run of the chart maskrcnn-optimized: a few steps, starting from the weights of ``drawn_scenes``."""
    return _train_and_share(OPTIMIZED, efs)


@pytest.fixture(scope="session")
def photos(efs: Path) -> Release:
    """A run of a few steps on the photos in MRC_TEST_PHOTOS."""
    directory = os.environ.get("MRC_TEST_PHOTOS")
    if not directory:
        pytest.skip("MRC_TEST_PHOTOS is not set to a directory of photos in COCO layout")
    data = Path(directory)
    sets = (
        f"maskrcnn.data_dir={data.name}",
        "maskrcnn.fp16=false",
        "maskrcnn.steps_per_epoch=20",
        "maskrcnn.lr_schedule=[75]",
    )
    return _train_and_share(Release("photos", EXAMPLES / "photos.yaml", sets, data=data), efs)


def _train_and_share(release: Release, efs: Path) -> Release:
    """Train the release, and copy its run to the shared file system as if it had been saved just now."""
    release.train()
    copy = efs / "kubeflow" / release.name
    shutil.copytree(release.directory, copy)
    for index in copy.glob("model-*.index"):
        index.touch()
    return release


@pytest.fixture(scope="session")
def server(
    efs: Path, drawn_scenes: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    """Jupyter, started as the chart does."""
    with jupyter(efs, tmp_path_factory.mktemp("jupyter"), VIZ / "notebooks", VIZ / "config") as server:
        yield server


@pytest.fixture(scope="session")
def tensorboard_address(
    drawn_scenes: Release, optimized: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of TensorBoard, started as the chart does, with these two runs."""
    directory = tmp_path_factory.mktemp("tensorboard")
    for release in (drawn_scenes, optimized):
        shutil.copytree(release.directory, directory / "efs" / "kubeflow" / release.name)
    with tensorboard(directory / "efs", directory) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    program = shutil.which("chromium")
    assert program, "chromium not found; install it with: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A new browser profile for each test module.

    It accepts every certificate; the tests check the chart's certificate themselves. It cannot reach other
    machines.
    """
    context = chromium.new_context(ignore_https_errors=True, viewport={"width": 1400, "height": 1000})
    context.route(lambda address: "://localhost" not in address and "://127.0.0.1" not in address, _abort)
    context.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    yield context
    context.close()


def _abort(route: object) -> None:
    route.abort()  # type: ignore[attr-defined]


@pytest.fixture
def screenshot() -> Callable[[Page, str], None]:
    """``screenshot(page, name)`` saves a screenshot.

    If MRC_TEST_FIGURES is set, the figures of docs/notebook.md in that directory are replaced as well.
    """
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    figures = os.environ.get("MRC_TEST_FIGURES")

    def save(page: Page, name: str) -> None:
        page.wait_for_timeout(1000)  # scrolling is painted with a delay
        page.screenshot(path=SCREENSHOTS / f"{name}.png")
        if figures and name in DOC_FIGURES:
            page.screenshot(path=Path(figures) / f"{DOC_FIGURES[name]}.jpg", type="jpeg", quality=85)

    return save
