"""Driving JupyterLab in a browser: log in, run a notebook, find its cells."""

import re

import cv2
import numpy as np
from playwright.sync_api import Locator, Page, expect
from server_charts import JupyterServer
from trained_releases import SCREENSHOTS, Release

ERRORS = "[data-mime-type='application/vnd.jupyter.stderr']"
"""Selector for errors and warnings of cells."""


def address(server: JupyterServer, path: str = "/lab") -> str:
    return f"https://localhost:{server.port}{path}"


def log_in(page: Page, server: JupyterServer) -> None:
    page.goto(address(server))
    page.fill("input[name=password]", server.token)
    page.click("#login_submit")
    page.wait_for_selector(".jp-DirListing-item")


def open_notebook(page: Page, name: str) -> None:
    """Open a notebook from the file browser, and hide the file browser."""
    page.dblclick(f".jp-DirListing-item:has-text('{name}')")
    page.wait_for_selector(".jp-CodeCell")
    page.keyboard.press("Control+b")


def menu(page: Page, *labels: str) -> None:
    bar, *entries = labels
    page.click(f".lm-MenuBar-itemLabel:text-is('{bar}')")
    for entry in entries:
        page.click(f".lm-Menu-itemLabel:text-is('{entry}')")


def cell(page: Page, source: str) -> Locator:
    """The code cell that contains this text."""
    return page.locator(".jp-CodeCell", has_text=source)


def run_all(page: Page) -> None:
    """Run a notebook that was just opened. Before its kernel is ready, Jupyter would ask for one."""
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    menu(page, "Run", "Run All Cells")
    _wait_until_run(page)


def run_from(page: Page, source: str) -> None:
    """Run the cell that contains this text, and all cells below it."""
    cell(page, source).locator(".jp-InputArea-editor").click()
    menu(page, "Run", "Run Selected Cell and All Below")
    expect(page.locator(".jp-CodeCell").last.locator(".jp-InputPrompt")).to_have_text("[*]:")
    _wait_until_run(page)


def _wait_until_run(page: Page) -> None:
    """Wait until the last cell has been run."""
    last = page.locator(".jp-CodeCell").last
    try:
        expect(last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=150_000)
    except AssertionError:
        page.screenshot(path=SCREENSHOTS / "not-run.png")
        raise


def run_list(page: Page) -> Locator:
    """The list of runs."""
    return cell(page, "choose_run(RUNS)").locator("select").nth(0)


def choose(page: Page, release: Release) -> None:
    """Choose a run in the list and run all cells below it."""
    (index,) = (
        index
        for index, text in enumerate(run_list(page).locator("option").all_text_contents())
        if text.startswith(f"{release.name},")
    )
    run_list(page).select_option(index=index)
    run_from(page, "plot_curves(history)")


def pixels(element: Locator) -> np.ndarray:
    """A screenshot of the element, BGR uint8 (height, width, 3)."""
    image = cv2.imdecode(np.frombuffer(element.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image
