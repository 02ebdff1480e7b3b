"""What the test notebook shows and asks: lists, sliders and pictures that follow them.

``%load_ext mrc_viz.notebook`` first: mistakes that a user can mend are then a sentence, not a traceback.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import ipywidgets as widgets
import numpy as np
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import HTML, DisplayHandle, display
from mrc_train.data.coco import Categories, DataError, ImageRecord, Split
from mrc_train.data.images import UnreadableImage, read_image
from mrc_train.drawing import Image
from mrc_train.errors import ConfigError, RunFolderError
from mrc_train.evaluation.detections import Detections
from mrc_train.predictor import Predictor
from tqdm import tqdm

from mrc_viz import quality
from mrc_viz.gallery import pick
from mrc_viz.overlay import detections_panel, page, truth_panel
from mrc_viz.runs import Run, find_runs, validation_splits


class NothingToShow(Exception):
    """No picture was chosen; the message says where to choose one."""


SENTENCES = (ConfigError, DataError, NothingToShow, RunFolderError, UnreadableImage)
"""Errors whose message is one line that says what to do."""

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
FOLDER, UPLOAD = "a folder", "an upload"
MOST_SHOWN = 24


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by ``%load_ext``."""

    def one_sentence(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> None:
        error._render_traceback_ = lambda: [str(error)]
        shell.showtraceback((kind, error, trace))

    shell.set_custom_exc(SENTENCES, one_sentence)


@dataclass(frozen=True, eq=False)
class RunChoice:
    """The run and checkpoint that two lists show; what comes after reads them when it runs."""

    runs: widgets.Dropdown
    checkpoints: widgets.Dropdown

    @property
    def folder(self) -> Path:
        """The run's folder."""
        run: Run = self.runs.value
        return run.folder

    @property
    def checkpoint(self) -> Path:
        """Prefix of the checkpoint's files."""
        return self.folder / f"model-{self.checkpoints.value}"


def choose_run(folder: Path | str) -> RunChoice:
    """Shows the runs under a folder and the checkpoints of the chosen one, newest first.

    Raises:
        RunFolderError: in one line, when there is none.
    """
    found = find_runs(folder)
    wide = widgets.Layout(width="640px")
    runs = widgets.Dropdown(
        options=[(_title(run, Path(folder)), run) for run in found], description="run", layout=wide
    )
    checkpoints = widgets.Dropdown(description="checkpoint", layout=wide)

    def list_checkpoints(_: Any = None) -> None:
        checkpoints.options = [(f"model-{step}", step) for step in runs.value.steps]
        checkpoints.index = 0

    runs.observe(list_checkpoints, "value")
    list_checkpoints()
    display(widgets.VBox([runs, checkpoints]))
    return RunChoice(runs, checkpoints)


def _title(run: Run, folder: Path) -> str:
    name = run.folder.relative_to(folder) if run.folder != folder else Path(run.folder.name)
    return f"{name}, step {run.step:,}, saved {run.saved:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, eq=False)
class Shown:
    """A picture with its name, and its annotations where it has any."""

    name: str
    picture: Image
    record: ImageRecord | None = None


@dataclass(frozen=True, eq=False)
class ImageChoice:
    """Where pictures come from, as the form says when they are asked for."""

    splits: dict[str, Split]
    source: widgets.ToggleButtons
    count: widgets.IntSlider
    turn: widgets.IntSlider
    folder: widgets.Text
    upload: widgets.FileUpload

    def pictures(self) -> list[Shown]:
        """The chosen pictures.

        Raises:
            NothingToShow, UnreadableImage: in one line.
        """
        if self.source.value == FOLDER:
            return _of_folder(self.folder.value, self.count.value, self.turn.value)
        if self.source.value == UPLOAD:
            return [_uploaded(entry["name"], entry["content"]) for entry in _some(self.upload.value)]
        split = self.splits[self.source.value]
        return [
            Shown(record.path.name, record.read(), record)
            for record in pick(split, self.count.value, self.turn.value)
        ]


def choose_images(run: Path, count: int = 4) -> ImageChoice:
    """Shows a form for pictures: of a validation split, of a folder, or uploaded.

    A run whose validation data are not there says so; the other two remain.
    """
    missing, splits = "", {}
    try:
        splits = {split.name: split for split in validation_splits(run)}
    except (DataError, RunFolderError) as error:
        missing = f"No validation images: {error}"
    source = widgets.ToggleButtons(options=[*splits, FOLDER, UPLOAD], description="images from")
    number = widgets.IntSlider(value=count, min=1, max=MOST_SHOWN, description="how many")
    turn = widgets.IntSlider(value=0, min=0, max=100, description="move on by")
    folder = widgets.Text(placeholder="/efs/my-photos", description="folder", continuous_update=False)
    upload = widgets.FileUpload(accept="image/*", multiple=True)
    rows = {FOLDER: [number, turn, folder], UPLOAD: [upload]}
    form = widgets.VBox()

    def show_rows(_: Any = None) -> None:
        form.children = [source, *rows.get(source.value, [number, turn])]

    source.observe(show_rows, "value")
    show_rows()
    if missing:
        print(missing)
    display(form)
    return ImageChoice(splits, source, number, turn, folder, upload)


def _some(values: Sequence[Any]) -> Sequence[Any]:
    if not values:
        raise NothingToShow("No picture is uploaded yet: upload one above, then run this cell again.")
    return values


def _of_folder(folder: str, count: int, turn: int) -> list[Shown]:
    if not folder:
        raise NothingToShow("No folder is named yet: name one above, then run this cell again.")
    if not Path(folder).is_dir():
        raise NothingToShow(f"{folder}: no such folder; name one that this server sees, such as /efs/photos.")
    paths = sorted(path for path in Path(folder).iterdir() if path.suffix.lower() in PICTURES)
    if not paths:
        raise NothingToShow(f"{folder}: no picture in it ({', '.join(PICTURES)}).")
    turned = [*paths[turn % len(paths) :], *paths[: turn % len(paths)]]
    return [Shown(path.name, read_image(path)) for path in turned[:count]]


def _uploaded(name: str, content: Any) -> Shown:
    try:
        picture = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        picture = None
    if picture is None:
        raise UnreadableImage(f"{name}: not a picture that OpenCV can decode")
    return Shown(name, np.asarray(picture, np.uint8))


def show_detections(model: Predictor, images: ImageChoice, threshold: float | None = None) -> None:
    """Shows what the model detects, beside the truth where there is one, and a slider for the least score.

    Each picture is detected in once; the slider draws anew.

    Raises:
        NothingToShow, UnreadableImage, DataError: in one line.
    """
    shown = images.pictures()
    split = images.splits.get(images.source.value)
    if split is not None:
        quality.check_categories(model, split)
    found = [model(each.picture) for each in shown]
    if threshold is None:
        threshold = model.cfg.TEST.RESULT_SCORE_THRESH_VIS
    truth = split.categories if split else None
    _with_slider(threshold, lambda least: detections_page(shown, found, model.categories, least, truth))


def detections_page(
    shown: Sequence[Shown],
    found: Sequence[Detections],
    categories: Categories,
    threshold: float,
    of_truth: Categories | None = None,
) -> str:
    """HTML: a row for each picture, detections left, truth right where there is one."""
    pairs = []
    for each, detections in zip(shown, found, strict=True):
        count = len(detections.above(threshold))
        heading = f"{each.name}: {count} detected"
        panels = [detections_panel(heading, each.picture, detections, categories, threshold)]
        if each.record is not None:
            heading = f"truth: {len(each.record.boxes)}"
            panels.append(truth_panel(heading, each.picture, each.record, of_truth or categories))
        pairs.append(panels)
    return page(pairs)


def _with_slider(threshold: float, draw: Callable[[float], str]) -> None:
    """A slider, and under it a page that is drawn anew when it moves."""
    slider = widgets.FloatSlider(
        value=threshold, min=0.05, max=1, step=0.05, description="threshold", continuous_update=False
    )
    display(slider)
    # An output of the cell, not of a widget: it is there in a saved or exported notebook, too.
    handle = display(HTML(draw(threshold)), display_id=True)
    assert isinstance(handle, DisplayHandle)
    slider.observe(lambda change: handle.update(HTML(draw(change["new"]))), "value")


def evaluate(model: Predictor, images: ImageChoice, run: Path) -> quality.Quality:
    """How good the model is on the chosen validation split, or the first; prints of how many images.

    Raises:
        DataError, RunFolderError: in one line, when there are no validation data, or of other classes.
    """
    splits = images.splits or {split.name: split for split in validation_splits(run)}
    split = splits.get(images.source.value, next(iter(splits.values())))
    done = quality.evaluate(model, split, progress=_progress)
    print(done)
    return done


def _progress(records: Sequence[ImageRecord]) -> Iterable[ImageRecord]:
    return tqdm(records, desc="detecting", unit="image", file=sys.stdout, mininterval=1)  # type: ignore[no-any-return]


def show_worst(done: quality.Quality, count: int = 4) -> None:
    """Shows the pictures with the most errors, detections beside the truth, each with what is wrong.

    Raises:
        UnreadableImage: in one line.
    """
    worst = done.worst(count)
    if not worst:
        print(f"No error in {done}.")
        return
    pairs = []
    for record in worst:
        picture, found = record.read(), done.found[record.image_id]
        heading = f"{record.path.name}: {done.matchings[record.image_id]}"
        categories = done.split.categories
        pairs.append(
            [
                detections_panel(heading, picture, found, categories, done.threshold),
                truth_panel(f"truth: {len(record.boxes)}", picture, record, categories),
            ]
        )
    display(HTML(page(pairs)))
