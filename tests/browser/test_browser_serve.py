"""The inference server's page: an image is dropped, its detections are drawn, and the slider selects them."""

import base64
import json
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import Request, urlopen

import pycocotools.mask
import pytest
from playwright.sync_api import BrowserContext, Page, expect
from trained_releases import BIN, RUNS, Release

DROP = """([content, name]) => {
  const bytes = Uint8Array.from(atob(content), (char) => char.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name));
  const target = document.getElementById("drop");
  target.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true }));
}"""


@pytest.fixture(scope="module")
def address(drawn_scenes: Release) -> Iterator[str]:
    """Address of the inference server that `mrc-values local open` starts for a run that detects objects."""
    if drawn_scenes.trained:
        pytest.skip("MRC_TEST_RUN is not a release of mrc-values local")
    command = [str(BIN / "mrc-values"), "local", "open", drawn_scenes.name, "serve", "--dir", str(RUNS)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    yield process.stdout.readline().strip()
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.fixture(scope="module")
def scene() -> Path:
    """A validation image with several objects."""
    return min((RUNS / "efs" / "scenes" / "val2017").iterdir())


def detections(address: str, image: Path, threshold: float) -> list[dict[str, object]]:
    """What the server detects, asked without the page."""
    request = Request(f"{address}invocations?threshold={threshold}", image.read_bytes())
    with urlopen(request, timeout=60) as answer:
        detections: list[dict[str, object]] = json.load(answer)["detections"]
        return detections


def set_threshold(page: Page, value: float) -> None:
    page.locator("#threshold").evaluate(
        "(slider, value) => { slider.value = value; slider.dispatchEvent(new Event('input')); }", value
    )


def test_a_dropped_image_has_its_detections_drawn_and_listed_and_the_slider_selects_them(
    context: BrowserContext, address: str, scene: Path, screenshot: Callable[[Page, str], None]
) -> None:
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(address)
    boxes, listed = page.locator("#boxes .detection rect"), page.locator("#list li")
    expect(boxes).to_have_count(0)

    page.evaluate(DROP, [base64.b64encode(scene.read_bytes()).decode(), scene.name])
    expected = detections(address, scene, 0.5)
    assert expected
    expect(boxes).to_have_count(len(expected))
    expect(listed).to_have_count(len(expected))
    first = boxes.first
    assert [float(first.get_attribute(name) or 0) for name in ("x", "y", "width", "height")] == expected[0][
        "bbox"
    ]
    assert json.loads(page.locator("#json").text_content() or "")["detections"] == expected
    painted = page.locator("#masks").evaluate(
        "(canvas) => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height)"
        ".data.filter((value, i) => i % 4 === 3 && value > 0).length"
    )
    union = pycocotools.mask.area(pycocotools.mask.merge([entry["segmentation"] for entry in expected]))
    assert painted == union
    screenshot(page, "serve-detections")

    everything = detections(address, scene, 0)
    set_threshold(page, 0)
    expect(boxes).to_have_count(len(everything))
    set_threshold(page, 1)
    expect(boxes).to_have_count(0)
    expect(page.locator("#status")).to_contain_text(f"0 of {len(everything)} detections")
    assert not problems


def test_what_is_no_image_is_explained(context: BrowserContext, address: str) -> None:
    page = context.new_page()
    page.goto(address)
    page.evaluate(DROP, [base64.b64encode(b"%PDF-1.7").decode(), "paper.pdf"])
    expect(page.locator("#status")).to_contain_text("paper.pdf: a body that starts with 25 50 44 46")
    expect(page.locator("#boxes .detection")).to_have_count(0)
