"""The test notebook in Chromium, against Jupyter as the chart runs it."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from browser_run import KEPT, Release
from mrc_viz.gallery import pick
from mrc_viz.runs import find_runs, validation_splits
from playwright.sync_api import BrowserContext, Error, Locator, Page, expect
from servers import Lab

SHOWN = "show_detections(model, images)"
"""The cell with the detections."""

Shoot = Callable[[Page, str], None]


def address(lab: Lab, path: str = "/lab") -> str:
    return f"https://localhost:{lab.port}{path}"


def log_in(page: Page, lab: Lab) -> None:
    page.goto(address(lab))
    page.fill("input[name=password]", lab.token)
    page.click("#login_submit")
    page.wait_for_selector(".jp-DirListing-item")


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
    wait_until_run(page)


def wait_until_run(page: Page) -> None:
    """Until every cell has a number: the last is run last."""
    last = page.locator(".jp-CodeCell").last
    try:
        expect(last.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=150_000)
    except AssertionError:
        page.screenshot(path=KEPT / "screenshots" / "not-run.png")
        raise


def pixels(element: Locator) -> np.ndarray:
    """What the element shows, BGR (height, width, 3)."""
    picture = cv2.imdecode(np.frombuffer(element.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


@pytest.fixture(scope="module")
def notebook(context: BrowserContext, lab: Lab) -> Iterator[Page]:
    """The notebook, opened from the user's folder and run from top to bottom."""
    page = context.new_page()
    log_in(page, lab)
    page.get_by_role("button", name="No", exact=True).click()  # Jupyter's news
    page.dblclick(".jp-DirListing-item:has-text('test-model.ipynb')")
    page.wait_for_selector(".jp-CodeCell")
    page.keyboard.press("Control+b")  # the list of files goes
    run_all(page)
    yield page
    page.close()


def test_http_is_refused(context: BrowserContext, lab: Lab) -> None:
    page = context.new_page()
    with pytest.raises(Error, match=r"ERR_EMPTY_RESPONSE|ERR_CONNECTION"):
        page.goto(f"http://localhost:{lab.port}/lab")
    page.close()


def test_the_page_comes_with_the_chart_s_certificate(context: BrowserContext, lab: Lab) -> None:
    status, _ = lab.get("/api")  # by a client that trusts no other certificate
    page = context.new_page()
    answer = page.goto(address(lab))
    assert status == 200 and answer is not None
    details = answer.security_details()
    assert details is not None and details["subjectName"] == "demo-jupyter"
    page.close()


def test_a_wrong_token_is_refused(context: BrowserContext, lab: Lab, shoot: Shoot) -> None:
    page = context.new_page()
    page.goto(address(lab, "/lab?token=wrong"))
    expect(page.locator("#login_submit")).to_be_visible()
    page.fill("input[name=password]", "wrong")
    page.click("#login_submit")
    expect(page.get_by_text("Invalid credentials")).to_be_visible()
    shoot(page, "login")
    page.close()


def test_the_newest_run_is_chosen_and_its_checkpoints_are_listed(
    notebook: Page, drawn_scenes: Release
) -> None:
    lists = cell(notebook, "choose_run(RUNS)").locator("select")
    assert re.match(r"\w+,\sstep\s[\d,]+,\ssaved\s", str(lists.nth(0).locator("option").first.text_content()))
    lists.nth(0).select_option(index=position(lists.nth(0), drawn_scenes.name))
    (run,) = find_runs(drawn_scenes.folder)
    assert len(run.steps) > 1
    expect(lists.nth(1).locator("option")).to_have_text([f"model-{step}" for step in run.steps])


def position(select: Locator, name: str) -> int:
    """Of the entry that begins with a run's name."""
    (found,) = (
        place
        for place, text in enumerate(select.locator("option").all_text_contents())
        if text.startswith(name)
    )
    return found


def test_the_picture_shows_every_annotated_object_and_what_the_trainer_found(
    notebook: Page, drawn_scenes: Release, shoot: Shoot
) -> None:
    choose(notebook, drawn_scenes)
    output = cell(notebook, SHOWN).locator(".jp-OutputArea")
    (split,) = validation_splits(drawn_scenes.folder)
    records = pick(split, 4)
    assert output.locator("rect.mrc-truth").count() == sum(len(record.boxes) for record in records)
    # The trainer computes in bfloat16 where the CPU has it: scores near the threshold may fall either way.
    (run,) = find_runs(drawn_scenes.folder)
    results = json.loads((run.folder / "result" / f"val2017-{run.step}.json").read_text())
    scores = [
        each["score"] for each in results if each["image_id"] in {record.image_id for record in records}
    ]
    most, least = (sum(score >= threshold for score in scores) for threshold in (0.47, 0.53))
    found = output.locator("rect.mrc-detection").count()
    assert least <= found <= most
    assert found > 0
    output.locator("img").first.scroll_into_view_if_needed()
    shoot(notebook, "detections")


def choose(page: Page, release: Release) -> None:
    """Chooses a run in the list and runs everything below, as the notebook says."""
    first = cell(page, "choose_run(RUNS)")
    select = first.locator("select").nth(0)
    place = position(select, release.name)
    if select.evaluate("select => select.selectedIndex") == place:
        return
    select.select_option(index=place)
    cell(page, "plot_curves(history)").locator(".jp-InputArea-editor").click()
    menu(page, "Run", "Run Selected Cell and All Below")
    wait_for_busy_and_idle(page)


def wait_for_busy_and_idle(page: Page) -> None:
    last = page.locator(".jp-CodeCell").last
    expect(last.locator(".jp-InputPrompt")).to_have_text("[*]:")
    wait_until_run(page)


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
    assert re.fullmatch(r"(circle|square|triangle|star|\w+) [01]\.\d\d", str(title.text_content()))


def test_no_cell_ends_with_an_error_or_a_warning(notebook: Page) -> None:
    assert notebook.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert notebook.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0


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


def test_photos_are_detected_by_a_run_that_was_trained_on_photos(
    context: BrowserContext, lab: Lab, photos: Release, shoot: Shoot
) -> None:
    page = context.new_page()
    page.goto(address(lab, f"/lab/tree{lab.notebooks}/test-model.ipynb"))
    page.wait_for_selector(".jp-CodeCell")
    run_all(page)
    choose(page, photos)
    splits = {split.name: split for split in validation_splits(photos.folder)}
    assert list(splits) == ["val2017", "train2017"]
    cell(page, "choose_images").get_by_role("button", name="train2017").click()
    cell(page, "choose_images").locator(".jp-InputArea-editor").click()
    output = cell(page, SHOWN)
    output.locator(".jp-InputArea-editor").click()
    menu(page, "Run", "Run Selected Cell and All Below")
    wait_for_busy_and_idle(page)
    records = pick(splits["train2017"], 4)
    truth = sum(len(record.boxes) for record in records)
    assert output.locator("rect.mrc-truth").count() == truth
    assert output.locator("rect.mrc-detection").count() > truth / 2
    assert pixels(output.locator("img").first).std() > 20
    output.locator("img").first.scroll_into_view_if_needed()
    shoot(page, "photos")
    page.close()


def test_the_token_is_in_no_log(notebook: Page, lab: Lab, drawn_scenes: Release) -> None:
    logs: list[Path] = [lab.log, *drawn_scenes.folder.glob("*.log")]
    assert len(logs) >= 2
    for log in logs:
        assert lab.token not in log.read_text(errors="replace"), log
