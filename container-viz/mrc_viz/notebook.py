"""The widgets of the test notebook: lists and sliders, and the images that they control.

After ``%load_ext mrc_viz.notebook``, errors that the user can correct are one line, not a traceback.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ipywidgets as widgets
from IPython.core.interactiveshell import InteractiveShell
from IPython.display import HTML, DisplayHandle, display
from mrc_cli.errors import UserError
from mrc_train.data.annotations import DataError
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord, Split
from mrc_train.data.decoding import decode
from mrc_train.data.images import read_image
from mrc_train.drawing import Image
from mrc_train.errors import RunDirectoryError
from mrc_train.evaluation.detections import Detections
from mrc_train.predictor import Predictor
from tqdm import tqdm

from mrc_viz import quality
from mrc_viz.gallery import sample_images
from mrc_viz.overlay import detections_panel, ground_truth_panel, page
from mrc_viz.runs import Run, find_runs, validation_splits


class NoImagesError(UserError):
    """No image has been chosen yet, or the choice contains none."""


IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
DIRECTORY, UPLOAD = "a directory", "an upload"
MAX_IMAGES = 24


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Called by ``%load_ext``."""

    def show_one_line(shell: Any, kind: Any, error: Any, trace: Any, tb_offset: Any = None) -> None:
        error._render_traceback_ = lambda: [str(error)]
        shell.showtraceback((kind, error, trace))

    shell.set_custom_exc((UserError,), show_one_line)


@dataclass(frozen=True, eq=False)
class RunChoice:
    """The run and checkpoint chosen in two lists; later cells read them when they run."""

    runs: widgets.Dropdown
    checkpoints: widgets.Dropdown

    @property
    def directory(self) -> Path:
        """The run's directory."""
        run: Run = self.runs.value
        return run.directory

    @property
    def checkpoint(self) -> Path:
        """Path prefix of the checkpoint's files."""
        return self.directory / f"model-{self.checkpoints.value}"


def choose_run(directory: Path | str) -> RunChoice:
    """Show the runs in a directory and the checkpoints of the chosen one, newest first.

    Raises:
        RunDirectoryError: when there is none.
    """
    wide = widgets.Layout(width="640px")
    runs = widgets.Dropdown(
        options=[(_title(run, Path(directory)), run) for run in find_runs(directory)],
        description="run",
        layout=wide,
    )
    checkpoints = widgets.Dropdown(description="checkpoint", layout=wide)

    def list_checkpoints(_: Any = None) -> None:
        checkpoints.options = [(f"model-{step}", step) for step in runs.value.steps]
        checkpoints.index = 0

    runs.observe(list_checkpoints, "value")
    list_checkpoints()
    display(widgets.VBox([runs, checkpoints]))
    return RunChoice(runs, checkpoints)


def _title(run: Run, directory: Path) -> str:
    name = run.directory.relative_to(directory) if run.directory != directory else Path(run.directory.name)
    return f"{name}, step {run.step:,}, saved {run.saved:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, eq=False)
class NamedImage:
    """An image with its name, and its annotations if it has any."""

    name: str
    image: Image
    record: ImageRecord | None = None


@dataclass(frozen=True, eq=False)
class ImageChoice:
    """The source of images chosen in a form; ``load`` reads the form when it is called."""

    splits: dict[str, Split]
    source: widgets.ToggleButtons
    count: widgets.IntSlider
    offset: widgets.IntSlider
    directory: widgets.Text
    upload: widgets.FileUpload

    def load(self) -> list[NamedImage]:
        """Read the chosen images.

        Raises:
            NoImagesError, UnreadableImage
        """
        if self.source.value == DIRECTORY:
            return _read_directory(self.directory.value, self.count.value, self.offset.value)
        if self.source.value == UPLOAD:
            if not self.upload.value:
                raise NoImagesError("No image uploaded yet: upload one above, then run this cell again.")
            return [
                NamedImage(entry["name"], decode(bytes(entry["content"]), entry["name"]))
                for entry in self.upload.value
            ]
        split = self.splits[self.source.value]
        return [
            NamedImage(record.path.name, record.read(), record)
            for record in sample_images(split, self.count.value, self.offset.value)
        ]


def choose_images(run: Path, count: int = 4) -> ImageChoice:
    """Show a form to choose images: from a validation split, from a directory, or uploaded.

    If the run's validation data cannot be read, the form says so and offers the other two.
    """
    missing, splits = "", {}
    try:
        splits = {split.name: split for split in validation_splits(run)}
    except (DataError, RunDirectoryError) as error:
        missing = f"No validation images: {error}"
    source = widgets.ToggleButtons(options=[*splits, DIRECTORY, UPLOAD], description="images from")
    number = widgets.IntSlider(value=count, min=1, max=MAX_IMAGES, description="how many")
    offset = widgets.IntSlider(value=0, min=0, max=100, description="offset")
    directory = widgets.Text(placeholder="/efs/my-photos", description="directory", continuous_update=False)
    upload = widgets.FileUpload(accept="image/*", multiple=True)
    rows = {DIRECTORY: [number, offset, directory], UPLOAD: [upload]}
    form = widgets.VBox()

    def show_rows(_: Any = None) -> None:
        form.children = [source, *rows.get(source.value, [number, offset])]

    source.observe(show_rows, "value")
    show_rows()
    if missing:
        print(missing)
    display(form)
    return ImageChoice(splits, source, number, offset, directory, upload)


def _read_directory(name: str, count: int, offset: int) -> list[NamedImage]:
    if not name:
        raise NoImagesError("No directory given yet: enter one above, then run this cell again.")
    directory = Path(name)
    if not directory.is_dir():
        raise NoImagesError(
            f"{name}: directory not found; enter one that this server sees, such as /efs/photos."
        )
    paths = sorted(path for path in directory.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise NoImagesError(f"{name}: contains no images ({', '.join(IMAGE_SUFFIXES)}).")
    start = offset % len(paths)
    return [NamedImage(path.name, read_image(path)) for path in [*paths[start:], *paths[:start]][:count]]


def show_detections(model: Predictor, choice: ImageChoice, threshold: float | None = None) -> None:
    """Show detections beside ground truth, if there is any, and a slider for the minimum score.

    The model runs once per image; moving the slider only redraws.

    Raises:
        NoImagesError, UnreadableImage, DataError
    """
    images = choice.load()
    split = choice.splits.get(choice.source.value)
    if split is not None:
        quality.check_categories(model, split)
    detections = [model(named.image) for named in images]
    if threshold is None:
        threshold = model.cfg.TEST.RESULT_SCORE_THRESH_VIS
    annotated = split.categories if split else None
    _with_slider(
        threshold,
        lambda minimum: detections_page(images, detections, model.categories, minimum, annotated),
    )


def detections_page(
    images: Sequence[NamedImage],
    detections: Sequence[Detections],
    categories: Categories,
    threshold: float,
    annotated_categories: Categories | None = None,
) -> str:
    """HTML with one row per image: detections on the left, ground truth, if any, on the right."""
    pairs = []
    for named, of_image in zip(images, detections, strict=True):
        heading = f"{named.name}: {len(of_image.above(threshold))} detected"
        panels = [detections_panel(heading, named.image, of_image, categories, threshold)]
        if named.record is not None:
            heading = f"ground truth: {len(named.record.boxes)}"
            panels.append(
                ground_truth_panel(heading, named.image, named.record, annotated_categories or categories)
            )
        pairs.append(panels)
    return page(pairs)


def _with_slider(threshold: float, draw: Callable[[float], str]) -> None:
    """Show a slider, and below it a page that is redrawn when the slider moves."""
    slider = widgets.FloatSlider(
        value=threshold, min=0.05, max=1, step=0.05, description="threshold", continuous_update=False
    )
    display(slider)
    # Displayed by the cell, not by a widget, so that a saved or exported notebook contains it.
    handle = display(HTML(draw(threshold)), display_id=True)
    assert isinstance(handle, DisplayHandle)
    slider.observe(lambda change: handle.update(HTML(draw(change["new"]))), "value")


def evaluate(model: Predictor, choice: ImageChoice, run: Path) -> quality.Quality:
    """Evaluate the model on the chosen validation split, or on the first; prints the number of images.

    Raises:
        DataError, RunDirectoryError: when there are no validation data, or their classes are not the model's.
    """
    splits = choice.splits or {split.name: split for split in validation_splits(run)}
    split = splits.get(choice.source.value, next(iter(splits.values())))
    evaluated = quality.evaluate(model, split, progress=_progress)
    print(evaluated)
    return evaluated


def _progress(records: Sequence[ImageRecord]) -> Iterable[ImageRecord]:
    return tqdm(records, desc="detecting", unit="image", file=sys.stdout, mininterval=1)  # type: ignore[no-any-return]


def show_worst(evaluated: quality.Quality, count: int = 4) -> None:
    """Show the images with the most errors, detections beside ground truth, under their counts of errors.

    Raises:
        UnreadableImage
    """
    worst = evaluated.worst(count)
    if not worst:
        print(f"No errors in {evaluated}.")
        return
    pairs = []
    for record in worst:
        image, detections = record.read(), evaluated.detections[record.image_id]
        heading = f"{record.path.name}: {evaluated.matchings[record.image_id]}"
        categories = evaluated.split.categories
        pairs.append(
            [
                detections_panel(heading, image, detections, categories, evaluated.threshold),
                ground_truth_panel(f"ground truth: {len(record.boxes)}", image, record, categories),
            ]
        )
    display(HTML(page(pairs)))
