"""TensorBoard in Chromium, started as the chart does, with a run of each training chart."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from jupyterlab import pixels
from playwright.sync_api import BrowserContext, Page, expect
from trained_releases import Release

Screenshot = Callable[[Page, str], None]


@pytest.fixture
def page(context: BrowserContext, tensorboard_address: str) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


@pytest.mark.parametrize(
    ("name", "tags"), [("loss", ["loss/mask", "loss/total"]), ("ap", ["bbox/AP50", "segm/AP50"])]
)
def test_loss_and_ap_have_a_curve(
    name: str, tags: list[str], page: Page, tensorboard_address: str, screenshot: Screenshot
) -> None:
    page.goto(f"{tensorboard_address}/?tagFilter={'|'.join(f'^{tag}$' for tag in tags)}#timeseries")
    cards = page.locator("scalar-card")
    expect(cards).to_have_count(len(tags))
    for card, tag in zip(cards.all(), tags, strict=True):
        expect(card).to_contain_text(tag)
        expect(card.locator("line-chart").first).to_be_visible()
    screenshot(page, f"tensorboard-{name}")
    assert pixels(cards.first).std() > 10


def test_detections_are_shown_as_images(page: Page, tensorboard_address: str, screenshot: Screenshot) -> None:
    page.goto(f"{tensorboard_address}/?tagFilter=detections#timeseries")
    image = page.locator("image-card img").first
    expect(image).to_be_visible()
    screenshot(page, "tensorboard-images")
    assert pixels(image).std() > 20


def test_runs_are_compared_by_settings_and_metrics(
    page: Page, tensorboard_address: str, drawn_scenes: Release, optimized: Release, screenshot: Screenshot
) -> None:
    page.set_viewport_size({"width": 2000, "height": 700})
    page.goto(f"{tensorboard_address}/#hparams")
    cells = page.locator("tf-hparams-table-view vaadin-grid-cell-content")
    for release in (drawn_scenes, optimized):
        expect(cells.get_by_text(release.name, exact=True)).to_be_visible()
        last = json.loads((release.directory / "stats.json").read_text())[-1]
        shown = [text.strip() for text in cells.all_text_contents()]
        # Events store float32, and the table shows five digits including trailing zeros.
        assert f"{np.float32(last['bbox/AP']):#.5g}" in shown
    screenshot(page, "tensorboard-hparams")


def test_the_custom_scalars_have_the_configured_charts(
    page: Page, tensorboard_address: str, screenshot: Screenshot
) -> None:
    page.goto(f"{tensorboard_address}/#custom_scalars")
    for title in ("Loss", "Average precision", "Training"):
        expect(page.locator("tf-category-paginated-view").get_by_text(title, exact=True)).to_be_visible()
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    titles = ["total", "parts", "box AP", "box AP by size", "mask AP", "mask AP by size"]
    expect(charts).to_have_count(len([*titles, "learning rate", "images per second"]))
    for chart, title in zip(charts.all(), titles, strict=False):
        expect(chart).to_contain_text(title)
    screenshot(page, "tensorboard-layout")
    assert pixels(charts.first).std() > 10
