"""A trained model, loaded once and called on pictures."""

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mrc_train.checkpoints import load_weights, newest_weights
from mrc_train.config import Config, parse
from mrc_train.data.categories import Categories
from mrc_train.data.coco import ImageRecord, load_split
from mrc_train.errors import RunDirectoryError
from mrc_train.evaluation.detections import Detections
from mrc_train.inference import coco_results, detect
from mrc_train.log import quiet_tensorpack
from mrc_train.model.detector import INFERENCE_INPUTS, MaskRCNN
from mrc_train.tfgraph import tf, v1
from mrc_train.weights import write_npz

from tensorpack import OfflinePredictor, PredictConfig  # isort: skip
from tensorpack.tfutils import SmartInit  # isort: skip

_CLASSES = re.compile(r"^(?!rpn/).*\bclass/[Wb]$")
"""Weights with a column for each class and one for the background."""


class Predictor:
    """``Predictor.load("runs/first")`` then ``predictor(picture)``.

    Args:
        weights: values by variable name.

    Attributes:
        cfg: the settings of the run.
        categories: names and COCO ids of the classes.
        checkpoint: prefix of the weights' files.
    """

    def __init__(
        self, cfg: Config, categories: Categories, checkpoint: Path, weights: dict[str, npt.NDArray[Any]]
    ) -> None:
        self.cfg = cfg
        self.categories = categories
        self.checkpoint = checkpoint
        quiet_tensorpack()
        model = MaskRCNN(cfg, categories.num_classes)
        self._output_names = model.output_names
        with tf.Graph().as_default():
            self._run = OfflinePredictor(
                PredictConfig(
                    model=model,
                    session_init=SmartInit(weights, ignore_mismatch=True),
                    input_names=INFERENCE_INPUTS,
                    output_names=self._output_names,
                )
            )
        with self._run.graph.as_default():
            shapes = {v.op.name: tuple(v.shape.as_list()) for v in v1.global_variables()}
        for name, shape in shapes.items():
            if name not in weights or weights[name].shape != shape:
                raise RunDirectoryError(f"{checkpoint}: {_misfit(name, shape, weights, categories)}")

    @staticmethod
    def load(where: Path | str, settings: Sequence[str] = ()) -> "Predictor":
        """From a run's folder (its newest whole checkpoint), one checkpoint in it, or an .npz in tensorpack's
        names, whose classes are those of ``DATA.VAL``'s annotations.

        Args:
            settings: KEY=VALUE texts in place of the run's own; with an .npz all that are not the defaults.

        Raises:
            RunDirectoryError: in one line, when there is nothing there that can be loaded.
            ConfigError: for settings that the trainer does not have.
        """
        if str(where).endswith(".npz"):
            return Predictor._of_npz(Path(where), settings)
        checkpoint, weights = _checkpoint(Path(where))
        folder = checkpoint.parent
        try:
            cfg = parse(settings, Config.from_yaml((folder / "config.yaml").read_text()))
            saved = json.loads((folder / "categories.json").read_text())
            categories = Categories(tuple(saved["names"]), tuple(saved["coco_ids"]))
        except OSError as error:
            raise RunDirectoryError(
                f"{error.filename}: {error.strerror}; is {folder} the folder of a run?"
            ) from None
        return Predictor(cfg, categories, checkpoint, weights)

    @staticmethod
    def _of_npz(path: Path, settings: Sequence[str]) -> "Predictor":
        cfg = parse(settings)
        if not cfg.DATA.VAL:
            raise RunDirectoryError(f"{path}: its classes are not known; name a split of them in DATA.VAL")
        categories = load_split(cfg.DATA.BASEDIR, cfg.DATA.VAL[0], masks=False).categories
        return Predictor(cfg, categories, path, load_weights(str(path)))

    def __call__(self, picture: npt.NDArray[np.uint8]) -> Detections:
        """Detections in pixels of ``picture``, uint8 (H, W, 3) in BGR order, best first."""
        return detect(self._run, picture, self.cfg)

    def coco_results(self, records: Iterable[ImageRecord]) -> list[dict[str, Any]]:
        """Detections in all pictures of a split, in COCO's results format."""
        return coco_results(self._run, records, self.categories, self.cfg)

    def export(self, folder: Path) -> None:
        """Write a SavedModel: image and image_size in, the rows of ``MaskRCNN.output_names`` out; or, to a
        path that ends in .npz, the weights in tensorpack's names.

        Raises:
            RunDirectoryError: when ``folder`` exists.
        """
        if folder.exists():
            raise RunDirectoryError(f"{folder}: exists already; export to a new path")
        if folder.suffix == ".npz":
            with self._run.graph.as_default():
                variables = v1.global_variables()
            values = self._run.sess.run(variables)
            write_npz(folder, {v.op.name: x for v, x in zip(variables, values, strict=True)})
            return

        def tensors(names: Sequence[str]) -> dict[str, Any]:
            return {
                name.rpartition("/")[2]: self._run.graph.get_tensor_by_name(f"{name}:0") for name in names
            }

        with self._run.graph.as_default():
            v1.saved_model.simple_save(
                self._run.sess, str(folder), tensors(INFERENCE_INPUTS), tensors(self._output_names)
            )


def _checkpoint(where: Path) -> tuple[Path, dict[str, npt.NDArray[Any]]]:
    if where.is_dir():
        newest = newest_weights(where)
        if newest is None:
            raise RunDirectoryError(f"{where}: no whole checkpoint here; has the run saved one yet?")
        return newest
    prefix = where.with_suffix("") if where.suffix in (".index", ".data-00000-of-00001") else where
    if not prefix.with_name(prefix.name + ".index").exists():
        raise RunDirectoryError(f"{where}: no such checkpoint; give the run's folder or model-<step> in it")
    try:
        return prefix, load_weights(str(prefix))
    except RunDirectoryError:
        raise RunDirectoryError(
            f"{prefix}: this checkpoint is not whole: a file of it is missing or cut off; wait a moment if "
            "the run is saving it now, else choose another one"
        ) from None


def _misfit(
    name: str, shape: tuple[int, ...], weights: dict[str, npt.NDArray[Any]], categories: Categories
) -> str:
    """Why weights do not fit the model, whose variable ``name`` has this shape."""
    if name in weights and _CLASSES.search(name):
        names = categories.names
        few = ", ".join([*names[:4], *(["…"] if len(names) > 4 else [])])
        return (
            f"weights for {weights[name].shape[-1] - 1} classes, where {len(names)} are named ({few}); "
            "give the classes that it was trained with"
        )
    return (
        f"not the weights of the model that the settings describe, which has {name} {list(shape)}; "
        "give the settings that it was trained with"
    )
