"""Chromium, the servers that it visits, and the runs that they show. Screenshots are kept in .browser/."""

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from browser_run import EXAMPLES, KEPT, ROOT, Release
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from server_charts import JupyterServer, jupyter, tensorboard

VIZ = ROOT / "container-viz"
ARGUMENTS = [
    "--no-sandbox",  # root has no user namespace to shut Chromium in
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-dev-shm-usage",
    "--disable-sync",
]

GUIDE = {"detections": "notebook-detections", "classes": "notebook-classes"}
"""Screenshots that docs/notebook.md shows, and their names there."""

# bfloat16 is slower than single precision on a CPU without AMX.
DRAWN_SCENES = Release(
    "maskrcnn",
    EXAMPLES / "drawn-scenes.yaml",
    ("maskrcnn.fp16=false", "maskrcnn.steps_per_epoch=90", "maskrcnn.lr_schedule=[450]"),
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
    """The shared file system. Not in .browser/: Jupyter shows no hidden folders."""
    return tmp_path_factory.mktemp("shared") / "efs"


@pytest.fixture(scope="session")
def drawn_scenes(efs: Path, optimized: Release) -> Release:
    """A run on drawn scenes that detects many of them; that in MRC_TEST_RUN, the demo's say, if it is set.

    It was saved after ``optimized``, so that the notebook chooses it.
    """
    folder = os.environ.get("MRC_TEST_RUN")
    if folder:
        trained = Path(folder).absolute()
        return _shared(replace(DRAWN_SCENES, name=trained.name, trained=trained), efs)
    return _shared(DRAWN_SCENES, efs)


@pytest.fixture(scope="session")
def optimized(efs: Path) -> Release:
    """A run of the chart maskrcnn-optimized: a few steps, from the weights of the other."""
    return _shared(OPTIMIZED, efs)


@pytest.fixture(scope="session")
def photos(efs: Path) -> Release:
    """A run of a few steps on the photos of MRC_TEST_PHOTOS."""
    folder = os.environ.get("MRC_TEST_PHOTOS")
    if not folder:
        pytest.skip("MRC_TEST_PHOTOS names no folder of photos in COCO layout")
    data = Path(folder)
    sets = (
        f"maskrcnn.data_dir={data.name}",
        "maskrcnn.fp16=false",
        "maskrcnn.steps_per_epoch=20",
        "maskrcnn.lr_schedule=[75]",
    )
    return _shared(Release("photos", EXAMPLES / "photos.yaml", sets, data=data), efs)


def _shared(release: Release, efs: Path) -> Release:
    """The run, trained, and a copy of it on the shared file system, as if it had been saved just now."""
    release.train()
    copy = efs / "kubeflow" / release.name
    shutil.copytree(release.folder, copy)
    for index in copy.glob("model-*.index"):
        index.touch()
    return release


@pytest.fixture(scope="session")
def lab(
    efs: Path, drawn_scenes: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[JupyterServer]:
    """Jupyter as the chart runs it."""
    with jupyter(efs, tmp_path_factory.mktemp("jupyter"), VIZ / "notebooks", VIZ / "config") as lab:
        yield lab


@pytest.fixture(scope="session")
def board(
    drawn_scenes: Release, optimized: Release, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Address of TensorBoard as the chart runs it, with these two runs."""
    folder = tmp_path_factory.mktemp("tensorboard")
    for release in (drawn_scenes, optimized):
        shutil.copytree(release.folder, folder / "efs" / "kubeflow" / release.name)
    with tensorboard(folder / "efs", folder) as address:
        yield address


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """Debian's, without a window."""
    program = shutil.which("chromium")
    assert program, "there is no chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A browser of its own for each file of tests. Its certificate store does not know the chart's, which the
    tests compare themselves; nothing outside this machine can be reached."""
    context = chromium.new_context(ignore_https_errors=True, viewport={"width": 1400, "height": 1000})
    context.route(lambda address: "://localhost" not in address and "://127.0.0.1" not in address, _refuse)
    context.set_default_timeout(60_000)
    expect.set_options(timeout=60_000)
    yield context
    context.close()


def _refuse(route: object) -> None:
    route.abort()  # type: ignore[attr-defined]


@pytest.fixture
def shoot() -> Callable[[Page, str], None]:
    """``shoot(page, name)`` keeps a picture of what the page shows.

    In the folder MRC_TEST_FIGURES, if that is set, the pictures of the guide page are written anew.
    """
    folder = KEPT / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    guide = os.environ.get("MRC_TEST_FIGURES")

    def shoot(page: Page, name: str) -> None:
        page.wait_for_timeout(1000)  # a page paints what was scrolled to a little later
        page.screenshot(path=folder / f"{name}.png")
        if guide and name in GUIDE:
            page.screenshot(path=Path(guide) / f"{GUIDE[name]}.jpg", type="jpeg", quality=85)

    return shoot
