"""Mistakes that a user can mend are one sentence in the notebook, in the cell where they matter."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from mrc_train.data.images import UnreadableImage
from mrc_viz.notebook import FOLDER, UPLOAD, NothingToShow, choose_images

NOTEBOOK = Path(__file__).parents[2] / "container-viz" / "notebooks" / "test-model.ipynb"

Run = Callable[[Path], tuple[str, str]]


@pytest.fixture(scope="module")
def run_until_error() -> Iterator[Run]:
    """``run_until_error(runs)``: what is printed, and what the first cell that fails shows for it."""
    cells = [cell.source for cell in nbformat.read(NOTEBOOK, as_version=4).cells if cell.cell_type == "code"]
    manager, client = start_new_kernel()

    def run(runs: Path) -> tuple[str, str]:
        printed: list[str] = []
        errors: list[str] = []

        def listen(message: dict[str, object]) -> None:
            content = message["content"]
            assert isinstance(content, dict)
            if message["msg_type"] == "stream":
                printed.append(content["text"])
            elif message["msg_type"] == "error":
                errors.append("\n".join(content["traceback"]))

        for source in [f"%env MRC_RUNS={runs}", *cells]:
            reply = client.execute_interactive(source, output_hook=listen, timeout=120)
            if reply["content"]["status"] == "error":
                return "".join(printed), errors[0]
        raise AssertionError("every cell ran")

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A run of one's own, to damage."""
    return Path(shutil.copytree(trained, tmp_path / "runs" / "tiny"))


def weights(run: Path) -> Path:
    return run / "model-6.data-00000-of-00001"


def cut_off(run: Path) -> None:
    weights(run).write_bytes(weights(run).read_bytes()[:1000])


def other_classes(run: Path) -> None:
    (run / "categories.json").write_text('{"names": ["cup", "pan"], "coco_ids": [1, 2]}')


NOT_WHOLE = (
    "this checkpoint is not whole: a file of it is missing or cut off; wait a moment if the run is saving it "
    "now, else choose another one"
)
MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no run": (shutil.rmtree, "{runs}: no run with a checkpoint; name the folder that runs are written to"),
    "no statistics": (
        lambda run: (run / "stats.json").unlink(),
        "{run}/stats.json: No such file or directory; is {run} the folder of a run?",
    ),
    "a checkpoint that is half written": (
        cut_off,
        "{run}/model-6: " + NOT_WHOLE,
    ),
    "a checkpoint that is missing": (
        lambda run: weights(run).unlink(),
        "{run}/model-6: " + NOT_WHOLE,
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_a_sentence(mistake: str, run_until_error: Run, copied: Path) -> None:
    make, expected = MISTAKES[mistake]
    make(copied)
    _, shown = run_until_error(copied.parent)
    assert shown == expected.format(runs=copied.parent, run=copied)


def test_a_checkpoint_of_another_number_of_classes_is_a_sentence(run_until_error: Run, copied: Path) -> None:
    other_classes(copied)
    _, shown = run_until_error(copied.parent)
    expected = (
        "weights for 4 classes, where 2 are named (cup, pan); give the classes that it was trained with"
    )
    assert shown == f"{copied}/model-6: {expected}"


def test_a_run_whose_data_are_gone_shows_its_training_and_asks_for_pictures(
    run_until_error: Run, copied: Path
) -> None:
    settings = (copied / "config.yaml").read_text()
    (copied / "config.yaml").write_text(settings.replace("BASEDIR: /", "BASEDIR: /gone/"))
    printed, shown = run_until_error(copied.parent)
    assert "No validation images: /gone/" in printed.splitlines()[-1]
    assert shown == "No folder is named yet: name one above, then run this cell again."


@pytest.mark.parametrize(
    ("names", "expected"),
    [(None, "{folder}: no such folder; name one"), (["notes.txt"], "{folder}: no picture in it (.bmp, ")],
)
def test_a_folder_without_pictures_is_a_sentence(
    names: list[str] | None, expected: str, trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    if names is not None:
        folder.mkdir()
        for name in names:
            (folder / name).touch()
    images = choose_images(trained)
    images.source.value, images.folder.value = FOLDER, str(folder)
    with pytest.raises(NothingToShow) as error:
        images.pictures()
    assert str(error.value).startswith(expected.format(folder=folder))


def test_pictures_of_a_folder_come_in_the_order_of_their_names(trained: Path, tmp_path: Path) -> None:
    for number in (3, 1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 6, 3), number, np.uint8))
    images = choose_images(trained)
    images.source.value, images.folder.value, images.count.value = FOLDER, str(tmp_path), 2
    assert [shown.name for shown in images.pictures()] == ["1.png", "2.png"]
    images.turn.value = 2
    assert [shown.name for shown in images.pictures()] == ["3.png", "1.png"]
    assert images.pictures()[0].picture.max() == 3


def uploaded(name: str, content: bytes) -> tuple[dict[str, object]]:
    """What the browser sends."""
    entry = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    return ({**entry, "last_modified": datetime.now(UTC)},)


def test_an_upload_is_a_picture_without_a_truth(trained: Path) -> None:
    images = choose_images(trained)
    images.source.value = UPLOAD
    with pytest.raises(NothingToShow, match=r"^No picture is uploaded yet"):
        images.pictures()
    _, encoded = cv2.imencode(".png", np.full((4, 6, 3), 9, np.uint8))
    images.upload.value = uploaded("mine.png", encoded.tobytes())
    (shown,) = images.pictures()
    assert (shown.name, shown.picture.shape, shown.record) == ("mine.png", (4, 6, 3), None)


def test_an_upload_that_is_no_picture_is_a_sentence(trained: Path) -> None:
    images = choose_images(trained)
    images.source.value = UPLOAD
    images.upload.value = uploaded("notes.txt", b"hello")
    with pytest.raises(UnreadableImage, match=r"^notes\.txt: not a picture that OpenCV can decode$"):
        images.pictures()
