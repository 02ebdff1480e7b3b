"""Finding and loading the model: an export, a model.tar.gz of one, or a run's directory."""

import os
import tarfile
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
from mrc_cli.errors import UserError
from mrc_train.inference import LoadedModel

from mrc_serve.answers import Wanted, answer_image

MODEL_FILE = "model.json"
ARCHIVE = "model.tar.gz"
WARM_UP_SIZES = ((24, 32), (32, 24))
"""Heights and widths in pixels. The model's input is larger: images are resized to its short edge."""

_PACK = f"tar --create --gzip --file {ARCHIVE} --directory DIR ."


class ModelError(UserError):
    """The model cannot be served; the message names the path and what was expected there."""


def load_model(path: Path) -> LoadedModel:
    """Load whatever of the three is at ``path``.

    Raises:
        UserError: naming the path and the expected layout.
    """
    if path.is_file() and path.name.endswith((".tar.gz", ".tgz")):
        return _from_archive(path)
    if (path / MODEL_FILE).is_file():
        return _exported(path)
    if (path / ARCHIVE).is_file():
        return _from_archive(path / ARCHIVE)
    if (path / "config.yaml").is_file() and (path / "checkpoint").is_file():
        return _from_run(path)
    raise ModelError(f"{path}: {_problem(path)}")


def _problem(path: Path) -> str:
    if not path.is_dir():
        return f"no such directory; expected {MODEL_FILE}, written by mrc-predict --export, in it"
    nested = next(path.glob(f"*/{MODEL_FILE}"), None)
    if nested:
        return f"{MODEL_FILE} is in {nested.parent.name}/, expected at the top; pack the model with: {_PACK}"
    if (path / "progress.json").is_file():
        return "the directory of a run without a complete checkpoint; has the run saved one yet?"
    names = sorted(entry.name for entry in path.iterdir())
    content = ", ".join(names[:4]) + (", …" if len(names) > 4 else "") if names else "nothing"
    return (
        f"found {content}; expected {MODEL_FILE} and saved_model.pb from mrc-predict --export, "
        f"{ARCHIVE} with them, or the directory of a run"
    )


def _exported(directory: Path) -> LoadedModel:
    from mrc_train.exported import ExportedModel

    return ExportedModel.load(directory)


def _from_archive(archive: Path) -> LoadedModel:
    with tempfile.TemporaryDirectory(prefix="mrc-serve-") as directory:
        try:
            with tarfile.open(archive, "r:gz") as content:
                content.extractall(directory, filter="data")
        except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
            if isinstance(error, OSError) and error.errno and error.filename != str(archive):
                raise ModelError(
                    f"{archive}: cannot be unpacked into {directory}: {os.strerror(error.errno).lower()}; "
                    "make room there, or set TMPDIR"
                ) from None
            reason = str(error).partition("\n")[0]
            raise ModelError(
                f"{archive}: cannot be unpacked ({reason}); pack the model with: {_PACK}"
            ) from None
        if not Path(directory, MODEL_FILE).is_file():
            raise ModelError(f"{archive}: {_problem(Path(directory))}")
        return _exported(Path(directory))


def _from_run(directory: Path) -> LoadedModel:
    try:
        import mrc_train.predictor
    except ModuleNotFoundError as error:
        raise ModelError(
            f"{directory}: the directory of a run needs {error.name}, which is not installed; serve it with "
            f"the training image, or export it first: mrc-predict --load {directory} --export DIR"
        ) from None
    return mrc_train.predictor.Predictor.load(directory)


def warm_up(model: LoadedModel) -> None:
    """Answer a landscape and a portrait image as requests would, so that no client pays for the first."""
    noise = np.random.default_rng(0)
    for size in WARM_UP_SIZES:
        image = noise.integers(0, 256, (*size, 3), np.uint8)
        content = cv2.imencode(".jpg", image)[1].tobytes()
        for png in (False, True):
            answer_image(model, content, Wanted(threshold=0, png=png), max_pixels=image.size)
