"""TensorBoard in Chromium, as the chart runs it, on a run of each chart."""

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from browser_run import Release
from lab_page import pixels
from playwright.sync_api import BrowserContext, Page, expect

Shoot = Callable[[Page, str], None]


@pytest.fixture
def page(context: BrowserContext, board: str) -> Iterator[Page]:
    page = context.new_page()
    yield page
    page.close()


@pytest.mark.parametrize(
    ("name", "tags"), [("loss", ["loss/mask", "loss/total"]), ("ap", ["bbox/AP50", "segm/AP50"])]
)
def test_loss_and_ap_have_a_curve(name: str, tags: list[str], page: Page, board: str, shoot: Shoot) -> None:
    page.goto(f"{board}/?tagFilter={'|'.join(f'^{tag}$' for tag in tags)}#timeseries")
    cards = page.locator("scalar-card")
    expect(cards).to_have_count(len(tags))
    for card, tag in zip(cards.all(), tags, strict=True):
        expect(card).to_contain_text(tag)
        expect(card.locator("line-chart").first).to_be_visible()
    shoot(page, f"tensorboard-{name}")
    assert pixels(cards.first).std() > 10


def test_detections_are_pictures(page: Page, board: str, shoot: Shoot) -> None:
    page.goto(f"{board}/?tagFilter=detections#timeseries")
    picture = page.locator("image-card img").first
    expect(picture).to_be_visible()
    shoot(page, "tensorboard-images")
    assert pixels(picture).std() > 20


def test_runs_are_compared_by_settings_and_metrics(
    page: Page, board: str, drawn_scenes: Release, optimized: Release, shoot: Shoot
) -> None:
    page.set_viewport_size({"width": 2000, "height": 700})
    page.goto(f"{board}/#hparams")
    cells = page.locator("tf-hparams-table-view vaadin-grid-cell-content")
    for release in (drawn_scenes, optimized):
        expect(cells.get_by_text(release.name, exact=True)).to_be_visible()
        last = json.loads((release.folder / "stats.json").read_text())[-1]
        shown = [text.strip() for text in cells.all_text_contents()]
        # An event holds float32, and the table shows five digits, zeros at the end as well.
        assert f"{np.float32(last['bbox/AP']):#.5g}" in shown
    shoot(page, "tensorboard-hparams")


def test_the_charts_that_one_looks_at_are_laid_out(page: Page, board: str, shoot: Shoot) -> None:
    page.goto(f"{board}/#custom_scalars")
    for title in ("Loss", "Average precision", "Training"):
        expect(page.locator("tf-category-paginated-view").get_by_text(title, exact=True)).to_be_visible()
    charts = page.locator("tf-custom-scalar-multi-line-chart-card")
    titles = ["total", "parts", "box AP", "box AP by size", "mask AP", "mask AP by size"]
    expect(charts).to_have_count(len([*titles, "learning rate", "images per second"]))
    for chart, title in zip(charts.all(), titles, strict=False):
        expect(chart).to_contain_text(title)
    shoot(page, "tensorboard-layout")
    assert pixels(charts.first).std() > 10
