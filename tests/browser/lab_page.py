"""JupyterLab in a browser: logging in, running a notebook, looking at its cells."""

import re

import cv2
import numpy as np
from browser_run import KEPT, Release
from playwright.sync_api import Locator, Page, expect
from server_charts import JupyterServer

ERRORS = "[data-mime-type='application/vnd.jupyter.stderr']"
"""Errors of cells, and what cells print as warnings."""


def address(lab: JupyterServer, path: str = "/lab") -> str:
    return f"https://localhost:{lab.port}{path}"


def log_in(page: Page, lab: JupyterServer) -> None:
    page.goto(address(lab))
    page.fill("input[name=password]", lab.token)
    page.click("#login_submit")
    page.wait_for_selector(".jp-DirListing-item")


def open_notebook(page: Page, name: str) -> None:
    """From the list of files, which goes then."""
    page.dblclick(f".jp-DirListing-item:has-text('{name}')")
    page.wait_for_selector(".jp-CodeCell")
    page.keyboard.press("Control+b")


def menu(page: Page, *labels: str) -> None:
    bar, *entries = labels
    page.click(f".lm-MenuBar-itemLabel:text-is('{bar}')")
    for entry in entries:
        page.click(f".lm-Menu-itemLabel:text-is('{entry}')")


def cell(page: Page, source: str) -> Locator:
    """The code cell that has this text in it."""
    return page.locator(".jp-CodeCell", has_text=source)


def run_all(page: Page) -> None:
    """Runs the notebook that was just opened; before its kernel is there Jupyter would ask for one."""
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    menu(page, "Run", "Run All Cells")
    _wait_until_run(page)


def run_from(page: Page, source: str) -> None:
    """Runs the cell that has this text in it, and all below."""
    cell(page, source).locator(".jp-InputArea-editor").click()
    menu(page, "Run", "Run Selected Cell and All Below")
    expect(page.locator(".jp-CodeCell").last.locator(".jp-InputPrompt")).to_have_text("[*]:")
    _wait_until_run(page)


def _wait_until_run(page: Page) -> None:
    """Until every cell has a number: the last is run last."""
    last = page.locator(".jp-CodeCell").last
    try:
        expect(last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=150_000)
    except AssertionError:
        page.screenshot(path=KEPT / "screenshots" / "not-run.png")
        raise


def runs(page: Page) -> Locator:
    """The list of runs."""
    return cell(page, "choose_run(RUNS)").locator("select").nth(0)


def choose(page: Page, release: Release) -> None:
    """Chooses a run in the list and runs everything below, as the notebook says."""
    (place,) = (
        place
        for place, text in enumerate(runs(page).locator("option").all_text_contents())
        if text.startswith(f"{release.name},")
    )
    runs(page).select_option(index=place)
    run_from(page, "plot_curves(history)")


def pixels(element: Locator) -> np.ndarray:
    """What the element shows, BGR (height, width, 3)."""
    picture = cv2.imdecode(np.frombuffer(element.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture
