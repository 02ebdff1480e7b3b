"""The test notebook in Chromium, with Jupyter started as the chart does."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jupyterlab import (
    ERRORS,
    address,
    cell,
    choose,
    log_in,
    menu,
    open_notebook,
    pixels,
    run_all,
    run_from,
    run_list,
)
from mrc_viz.gallery import sample_images
from mrc_viz.runs import find_runs, validation_splits
from playwright.sync_api import BrowserContext, Error, Page, expect
from server_charts import JupyterServer
from trained_releases import Release

DETECTIONS = "show_detections(model, images)"
"""Text of the cell with the detections."""

Screenshot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def notebook(context: BrowserContext, server: JupyterServer) -> Iterator[Page]:
    """The notebook, opened from the user's directory and run from top to bottom."""
    page = context.new_page()
    log_in(page, server)
    open_notebook(page, "test-model.ipynb")
    run_all(page)
    yield page
    page.close()


def test_plain_http_is_rejected(context: BrowserContext, server: JupyterServer) -> None:
    page = context.new_page()
    with pytest.raises(Error, match=r"ERR_EMPTY_RESPONSE|ERR_CONNECTION"):
        page.goto(f"http://localhost:{server.port}/lab")
    page.close()


def test_the_page_is_served_with_the_charts_certificate(
    context: BrowserContext, server: JupyterServer
) -> None:
    status, _ = server.get("/api")  # this client trusts no other certificate
    page = context.new_page()
    answer = page.goto(address(server))
    assert status == 200 and answer is not None
    details = answer.security_details()
    assert details is not None and details["subjectName"] == "demo-jupyter"
    page.close()


def test_a_wrong_token_is_rejected(
    context: BrowserContext, server: JupyterServer, screenshot: Screenshot
) -> None:
    page = context.new_page()
    page.goto(address(server, "/lab?token=wrong"))
    expect(page.locator("#login_submit")).to_be_visible()
    page.fill("input[name=password]", "wrong")
    page.click("#login_submit")
    expect(page.get_by_text("Invalid credentials")).to_be_visible()
    screenshot(page, "login")
    page.close()


def test_jupyter_shows_no_dialog(notebook: Page) -> None:
    assert notebook.locator(".Toastify__toast, .jp-Dialog").all_text_contents() == []


def test_runs_and_checkpoints_are_listed_newest_first(
    notebook: Page, drawn_scenes: Release, optimized: Release
) -> None:
    names = [text.partition(",")[0] for text in run_list(notebook).locator("option").all_text_contents()]
    assert names == [drawn_scenes.name, optimized.name]
    assert re.match(
        r"\w+,\sstep\s[\d,]+,\ssaved\s\d", str(run_list(notebook).locator("option").first.text_content())
    )
    checkpoints = cell(notebook, "choose_run(RUNS)").locator("select").nth(1).locator("option")
    (run,) = find_runs(drawn_scenes.directory)
    assert len(run.steps) > 1
    expect(checkpoints).to_have_text([f"model-{step}" for step in run.steps])


def test_the_detections_show_every_annotated_object_and_those_of_the_trainer(
    notebook: Page, drawn_scenes: Release, screenshot: Screenshot
) -> None:
    output = cell(notebook, DETECTIONS).locator(".jp-OutputArea")
    (split,) = validation_splits(drawn_scenes.directory)
    records = sample_images(split, 4)
    assert output.locator("rect.mrc-ground-truth").count() == sum(len(record.boxes) for record in records)
    # Another batch size rounds differently, so scores near the threshold may end up on either side.
    (run,) = find_runs(drawn_scenes.directory)
    results = json.loads((run.directory / "result" / f"val2017-{run.step}.json").read_text())
    scores = [
        result["score"] for result in results if result["image_id"] in {record.image_id for record in records}
    ]
    maximum, minimum = (sum(score >= threshold for score in scores) for threshold in (0.49, 0.51))
    shown = output.locator("rect.mrc-detection").count()
    assert minimum <= shown <= maximum
    assert shown > 0
    cell(notebook, DETECTIONS).evaluate("cell => cell.scrollIntoView()")
    screenshot(notebook, "detections")


def test_no_image_is_blank(notebook: Page) -> None:
    images = notebook.locator(".jp-OutputArea img")
    expect(images).to_have_count(3 + 2 * 4 + 2 * 4)  # plots, detections, worst images
    for image in images.all():
        image.scroll_into_view_if_needed()
        assert pixels(image).std() > 20


def test_the_slider_changes_boxes_and_image(notebook: Page, screenshot: Screenshot) -> None:
    shown = cell(notebook, DETECTIONS)
    boxes, image = shown.locator("rect.mrc-detection"), shown.locator("img").first
    handle = shown.locator(".noUi-handle")
    before, drawn = boxes.count(), image.get_attribute("src")
    handle.press("Home")
    expect(shown.locator(".widget-readout")).to_have_text("0.05")
    expect(image).not_to_have_attribute("src", str(drawn))
    assert boxes.count() > before
    screenshot(notebook, "threshold")
    handle.press("End")
    expect(boxes).to_have_count(0)


def test_the_tooltip_of_a_box_has_class_and_score(notebook: Page) -> None:
    shown = cell(notebook, DETECTIONS)
    shown.locator(".noUi-handle").press("Home")
    title = shown.locator("rect.mrc-detection title").first
    title.wait_for(state="attached")
    assert re.fullmatch(r"(circle|square|triangle|star) [01]\.\d\d", str(title.text_content()))


def test_no_cell_shows_an_error_or_a_warning(notebook: Page) -> None:
    assert notebook.locator(ERRORS).all_text_contents() == []


def test_the_plots_of_a_checkpoint_are_shown(notebook: Page, screenshot: Screenshot) -> None:
    for name, source in (
        ("training", "plot_curves(history)"),
        ("classes", "class_table(quality)"),
        ("worst", "show_worst(quality)"),
        ("confusion", "plot_confusion(quality)"),
    ):
        shown = cell(notebook, source)
        shown.evaluate("cell => cell.scrollIntoView()")
        expect(shown.locator(".jp-OutputArea-output").first).to_be_visible()
        screenshot(notebook, name)


def test_the_notebook_works_for_a_run_of_the_optimized_chart(
    notebook: Page, optimized: Release, screenshot: Screenshot
) -> None:
    choose(notebook, optimized)
    (run,) = find_runs(optimized.directory)
    expect(cell(notebook, "Predictor.load")).to_contain_text(f"/optimized: model-{run.step} detects circle")
    output = cell(notebook, DETECTIONS)
    assert output.locator("rect.mrc-detection").count() > 0
    assert pixels(output.locator("img").first).std() > 20
    output.evaluate("cell => cell.scrollIntoView()")
    screenshot(notebook, "optimized")


def test_a_truncated_checkpoint_is_one_line_in_the_page(
    notebook: Page, efs: Path, drawn_scenes: Release, screenshot: Screenshot
) -> None:
    broken = efs / "kubeflow" / "truncated"
    shutil.copytree(drawn_scenes.directory, broken)
    (run,) = find_runs(broken)
    weights = broken / f"model-{run.step}.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:1000])
    (broken / f"model-{run.step}.index").touch()  # makes it the newest run, which is selected
    menu(notebook, "Run", "Run All Cells")
    error = notebook.locator(ERRORS)
    expect(error).to_have_text(
        f"{broken}/model-{run.step}: this checkpoint is incomplete: one of its files is missing or "
        "truncated; wait a moment if the run is saving it right now, or choose another checkpoint"
    )
    error.evaluate("error => error.scrollIntoView({block: 'center'})")
    screenshot(notebook, "truncated")
    shutil.rmtree(broken)


def test_photos_are_detected_by_a_run_that_was_trained_on_photos(
    context: BrowserContext, server: JupyterServer, photos: Release, screenshot: Screenshot
) -> None:
    page = context.new_page()
    page.goto(address(server, f"/lab/tree{server.notebooks}/test-model.ipynb"))
    page.wait_for_selector(".jp-CodeCell")
    run_all(page)
    splits = {split.name: split for split in validation_splits(photos.directory)}
    assert list(splits) == ["val2017", "train2017"]
    cell(page, "choose_images").get_by_role("button", name="train2017").click()
    run_from(page, DETECTIONS)
    output = cell(page, DETECTIONS)
    records = sample_images(splits["train2017"], 4)
    objects = sum(len(record.boxes) for record in records)
    assert output.locator("rect.mrc-ground-truth").count() == objects
    output.locator(".noUi-handle").press("Home")  # after so few steps, all scores are low
    expect(output.locator(".widget-readout")).to_have_text("0.05")
    expect(output.locator("rect.mrc-detection")).not_to_have_count(0)
    assert pixels(output.locator("img").first).std() > 20
    output.evaluate("cell => cell.scrollIntoView()")
    screenshot(page, "photos")
    page.close()


def test_the_token_is_in_no_log(notebook: Page, server: JupyterServer, drawn_scenes: Release) -> None:
    logs: list[Path] = [server.log, *drawn_scenes.directory.glob("*.log")]
    assert len(logs) >= 2
    for log in logs:
        assert server.token not in log.read_text(errors="replace"), log
