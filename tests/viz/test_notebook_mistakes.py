"""Mistakes that a user can correct are one line in the notebook, in the cell where they matter."""

import shutil
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import cv2
import nbformat
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from mrc_train.data.decoding import UnreadableImage
from mrc_viz.notebook import DIRECTORY, UPLOAD, NoImagesError, choose_images

NOTEBOOK = Path(__file__).parents[2] / "container-viz" / "notebooks" / "test-model.ipynb"

Run = Callable[[Path], tuple[str, str]]


@pytest.fixture(scope="module")
def run_until_error() -> Iterator[Run]:
    """``run_until_error(runs)``: the printed text, and the error shown by the first cell that fails."""
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
def copied(finished: Path, tmp_path: Path) -> Path:
    """A copy of the trained run, to damage."""
    return Path(shutil.copytree(finished, tmp_path / "runs" / "tiny"))


def weights(run: Path) -> Path:
    return run / "model-6.data-00000-of-00001"


def truncate(run: Path) -> None:
    weights(run).write_bytes(weights(run).read_bytes()[:1000])


def other_classes(run: Path) -> None:
    (run / "categories.json").write_text('{"names": ["cup", "pan"], "coco_ids": [1, 2]}')


INCOMPLETE = (
    "this checkpoint is incomplete: one of its files is missing or truncated; wait a moment if "
    "the run is saving it right now, or choose another checkpoint"
)
MISTAKES: dict[str, tuple[Callable[[Path], object], str]] = {
    "no run": (
        shutil.rmtree,
        "{runs}: contains no run with a checkpoint; give the directory that runs are written to",
    ),
    "a truncated checkpoint": (truncate, "{run}/model-6: " + INCOMPLETE),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(mistake: str, run_until_error: Run, copied: Path) -> None:
    make, expected = MISTAKES[mistake]
    make(copied)
    _, shown = run_until_error(copied.parent)
    assert shown == expected.format(runs=copied.parent, run=copied)


def test_a_checkpoint_with_another_number_of_classes_is_one_line(run_until_error: Run, copied: Path) -> None:
    other_classes(copied)
    _, shown = run_until_error(copied.parent)
    expected = "weights for 4 classes, but 2 are named (cup, pan); name the classes that it was trained with"
    assert shown == f"{copied}/model-6: {expected}"


def test_a_run_without_its_data_shows_its_training_and_asks_for_images(
    run_until_error: Run, copied: Path
) -> None:
    settings = (copied / "config.yaml").read_text()
    (copied / "config.yaml").write_text(settings.replace("BASEDIR: /", "BASEDIR: /gone/"))
    printed, shown = run_until_error(copied.parent)
    assert "No validation images: /gone/" in printed.splitlines()[-1]
    assert shown == "No directory given yet: enter one above, then run this cell again."


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (None, "{directory}: directory not found; enter one"),
        (["notes.txt"], "{directory}: contains no images (.bmp, "),
    ],
)
def test_a_directory_without_images_is_one_line(
    names: list[str] | None, expected: str, finished: Path, tmp_path: Path
) -> None:
    directory = tmp_path / "photos"
    if names is not None:
        directory.mkdir()
        for name in names:
            (directory / name).touch()
    choice = choose_images(finished)
    choice.source.value, choice.directory.value = DIRECTORY, str(directory)
    with pytest.raises(NoImagesError) as error:
        choice.load()
    assert str(error.value).startswith(expected.format(directory=directory))


def test_images_of_a_directory_are_in_the_order_of_their_names(finished: Path, tmp_path: Path) -> None:
    for number in (3, 1, 2):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((4, 6, 3), number, np.uint8))
    choice = choose_images(finished)
    choice.source.value, choice.directory.value, choice.count.value = DIRECTORY, str(tmp_path), 2
    assert [named.name for named in choice.load()] == ["1.png", "2.png"]
    choice.offset.value = 2
    assert [named.name for named in choice.load()] == ["3.png", "1.png"]
    assert choice.load()[0].image.max() == 3


def uploaded(name: str, content: bytes) -> tuple[dict[str, object]]:
    """The value of the upload widget, as the browser sends it."""
    entry = {"name": name, "type": "", "size": len(content), "content": memoryview(content)}
    return ({**entry, "last_modified": datetime.now(UTC)},)


def test_an_upload_is_an_image_without_ground_truth(finished: Path) -> None:
    choice = choose_images(finished)
    choice.source.value = UPLOAD
    with pytest.raises(NoImagesError, match=r"^No image uploaded yet"):
        choice.load()
    _, encoded = cv2.imencode(".png", np.full((4, 6, 3), 9, np.uint8))
    choice.upload.value = uploaded("mine.png", encoded.tobytes())
    (named,) = choice.load()
    assert (named.name, named.image.shape, named.record) == ("mine.png", (4, 6, 3), None)


def test_an_upload_that_is_not_an_image_is_one_line(finished: Path) -> None:
    choice = choose_images(finished)
    choice.source.value = UPLOAD
    choice.upload.value = uploaded("notes.txt", b"hello")
    with pytest.raises(UnreadableImage, match=r"^notes\.txt: not an image that OpenCV can decode$"):
        choice.load()
