"""The test notebook in Chromium, against Jupyter as the chart runs it."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser_run import Release
from lab_page import (
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
    runs,
)
from mrc_viz.gallery import sample_images
from mrc_viz.runs import find_runs, validation_splits
from playwright.sync_api import BrowserContext, Error, Page, expect
from server_charts import JupyterServer

SHOWN = "show_detections(model, images)"
"""The cell with the detections."""

Shoot = Callable[[Page, str], None]


@pytest.fixture(scope="module")
def notebook(context: BrowserContext, lab: JupyterServer) -> Iterator[Page]:
    """The notebook, opened from the user's folder and run from top to bottom."""
    page = context.new_page()
    log_in(page, lab)
    open_notebook(page, "test-model.ipynb")
    run_all(page)
    yield page
    page.close()


def test_http_is_refused(context: BrowserContext, lab: JupyterServer) -> None:
    page = context.new_page()
    with pytest.raises(Error, match=r"ERR_EMPTY_RESPONSE|ERR_CONNECTION"):
        page.goto(f"http://localhost:{lab.port}/lab")
    page.close()


def test_the_page_comes_with_the_chart_s_certificate(context: BrowserContext, lab: JupyterServer) -> None:
    status, _ = lab.get("/api")  # by a client that trusts no other certificate
    page = context.new_page()
    answer = page.goto(address(lab))
    assert status == 200 and answer is not None
    details = answer.security_details()
    assert details is not None and details["subjectName"] == "demo-jupyter"
    page.close()


def test_a_wrong_token_is_refused(context: BrowserContext, lab: JupyterServer, shoot: Shoot) -> None:
    page = context.new_page()
    page.goto(address(lab, "/lab?token=wrong"))
    expect(page.locator("#login_submit")).to_be_visible()
    page.fill("input[name=password]", "wrong")
    page.click("#login_submit")
    expect(page.get_by_text("Invalid credentials")).to_be_visible()
    shoot(page, "login")
    page.close()


def test_jupyter_itself_asks_nothing(notebook: Page) -> None:
    assert notebook.locator(".Toastify__toast, .jp-Dialog").all_text_contents() == []


def test_runs_and_checkpoints_are_listed_the_newest_first(
    notebook: Page, drawn_scenes: Release, optimized: Release
) -> None:
    names = [text.partition(",")[0] for text in runs(notebook).locator("option").all_text_contents()]
    assert names == [drawn_scenes.name, optimized.name]
    assert re.match(
        r"\w+,\sstep\s[\d,]+,\ssaved\s\d", str(runs(notebook).locator("option").first.text_content())
    )
    checkpoints = cell(notebook, "choose_run(RUNS)").locator("select").nth(1).locator("option")
    (run,) = find_runs(drawn_scenes.folder)
    assert len(run.steps) > 1
    expect(checkpoints).to_have_text([f"model-{step}" for step in run.steps])


def test_the_detections_show_every_annotated_object_and_those_of_the_trainer(
    notebook: Page, drawn_scenes: Release, shoot: Shoot
) -> None:
    output = cell(notebook, SHOWN).locator(".jp-OutputArea")
    (split,) = validation_splits(drawn_scenes.folder)
    records = sample_images(split, 4)
    assert output.locator("rect.mrc-ground-truth").count() == sum(len(record.boxes) for record in records)
    # Another batch is rounded otherwise: scores near the threshold may fall either way.
    (run,) = find_runs(drawn_scenes.folder)
    results = json.loads((run.directory / "result" / f"val2017-{run.step}.json").read_text())
    scores = [
        each["score"] for each in results if each["image_id"] in {record.image_id for record in records}
    ]
    most, least = (sum(score >= threshold for score in scores) for threshold in (0.49, 0.51))
    found = output.locator("rect.mrc-detection").count()
    assert least <= found <= most
    assert found > 0
    cell(notebook, SHOWN).evaluate("cell => cell.scrollIntoView()")
    shoot(notebook, "detections")


def test_no_picture_is_blank(notebook: Page) -> None:
    pictures = notebook.locator(".jp-OutputArea img")
    expect(pictures).to_have_count(3 + 2 * 4 + 2 * 4)  # plots, detections, and the worst
    for picture in pictures.all():
        picture.scroll_into_view_if_needed()
        assert pixels(picture).std() > 20


def test_the_slider_changes_boxes_and_picture(notebook: Page, shoot: Shoot) -> None:
    shown = cell(notebook, SHOWN)
    boxes, picture = shown.locator("rect.mrc-detection"), shown.locator("img").first
    handle = shown.locator(".noUi-handle")
    before, drawn = boxes.count(), picture.get_attribute("src")
    handle.press("Home")
    expect(shown.locator(".widget-readout")).to_have_text("0.05")
    expect(picture).not_to_have_attribute("src", str(drawn))
    assert boxes.count() > before
    shoot(notebook, "threshold")
    handle.press("End")
    expect(boxes).to_have_count(0)


def test_pointing_at_a_box_tells_class_and_score(notebook: Page) -> None:
    shown = cell(notebook, SHOWN)
    shown.locator(".noUi-handle").press("Home")
    title = shown.locator("rect.mrc-detection title").first
    title.wait_for(state="attached")
    assert re.fullmatch(r"(circle|square|triangle|star) [01]\.\d\d", str(title.text_content()))


def test_no_cell_ends_with_an_error_or_a_warning(notebook: Page) -> None:
    assert notebook.locator(ERRORS).all_text_contents() == []


def test_the_plots_of_a_checkpoint_are_shown(notebook: Page, shoot: Shoot) -> None:
    for name, source in (
        ("training", "plot_curves(history)"),
        ("classes", "class_table(quality)"),
        ("worst", "show_worst(quality)"),
        ("confusion", "plot_confusion(quality)"),
    ):
        shown = cell(notebook, source)
        shown.evaluate("cell => cell.scrollIntoView()")
        expect(shown.locator(".jp-OutputArea-output").first).to_be_visible()
        shoot(notebook, name)


def test_a_run_of_the_optimized_chart_is_tested_in_the_same_way(
    notebook: Page, optimized: Release, shoot: Shoot
) -> None:
    choose(notebook, optimized)
    (run,) = find_runs(optimized.folder)
    expect(cell(notebook, "Predictor.load")).to_contain_text(f"/optimized: model-{run.step} detects circle")
    output = cell(notebook, SHOWN)
    assert output.locator("rect.mrc-detection").count() > 0
    assert pixels(output.locator("img").first).std() > 20
    output.evaluate("cell => cell.scrollIntoView()")
    shoot(notebook, "optimized")


def test_a_half_written_checkpoint_is_one_sentence_in_the_page(
    notebook: Page, efs: Path, drawn_scenes: Release, shoot: Shoot
) -> None:
    broken = efs / "kubeflow" / "half-written"
    shutil.copytree(drawn_scenes.folder, broken)
    (run,) = find_runs(broken)
    weights = broken / f"model-{run.step}.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:1000])
    (broken / f"model-{run.step}.index").touch()  # the newest run: the one that is chosen
    menu(notebook, "Run", "Run All Cells")
    error = notebook.locator(ERRORS)
    expect(error).to_have_text(
        f"{broken}/model-{run.step}: this checkpoint is not whole: a file of it is missing or cut off; wait "
        "a moment if the run is saving it now, else choose another one"
    )
    error.evaluate("error => error.scrollIntoView({block: 'center'})")
    shoot(notebook, "half-written")
    shutil.rmtree(broken)


def test_photos_are_detected_by_a_run_that_was_trained_on_photos(
    context: BrowserContext, lab: JupyterServer, photos: Release, shoot: Shoot
) -> None:
    page = context.new_page()
    page.goto(address(lab, f"/lab/tree{lab.notebooks}/test-model.ipynb"))
    page.wait_for_selector(".jp-CodeCell")
    run_all(page)
    splits = {split.name: split for split in validation_splits(photos.folder)}
    assert list(splits) == ["val2017", "train2017"]
    cell(page, "choose_images").get_by_role("button", name="train2017").click()
    run_from(page, SHOWN)
    output = cell(page, SHOWN)
    records = sample_images(splits["train2017"], 4)
    truth = sum(len(record.boxes) for record in records)
    assert output.locator("rect.mrc-ground-truth").count() == truth
    output.locator(".noUi-handle").press("Home")  # a model of so few steps is not sure of anything
    expect(output.locator(".widget-readout")).to_have_text("0.05")
    expect(output.locator("rect.mrc-detection")).not_to_have_count(0)
    assert pixels(output.locator("img").first).std() > 20
    output.evaluate("cell => cell.scrollIntoView()")
    shoot(page, "photos")
    page.close()


def test_the_token_is_in_no_log(notebook: Page, lab: JupyterServer, drawn_scenes: Release) -> None:
    logs: list[Path] = [lab.log, *drawn_scenes.folder.glob("*.log")]
    assert len(logs) >= 2
    for log in logs:
        assert lab.token not in log.read_text(errors="replace"), log
