"""TensorBoard in Chromium, as the chart runs it, on a trained run."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

Shoot = Callable[[Page, str], None]


@pytest.fixture
def page(context: BrowserContext, board: str) -> Page:
    return context.new_page()


def pixels(element: Locator) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(element.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


@pytest.mark.parametrize(
    ("name", "tags"), [("loss", ["loss/mask", "loss/total"]), ("ap", ["bbox/AP50", "segm/AP50"])]
)
def test_loss_and_ap_have_a_curve(name: str, tags: list[str], page: Page, board: str, shoot: Shoot) -> None:
    page.goto(f"{board}/?tagFilter={'|'.join(f'{tag}$' for tag in tags)}#timeseries")
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
