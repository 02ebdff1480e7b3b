"""A trained model from a run's checkpoint or an .npz, loaded once and called on images."""

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
from mrc_cli.files import flush_directory, naming, write_atomically

from mrc_train import exported
from mrc_train.checkpoints import load_weights, newest_weights
from mrc_train.config import Config, parse
from mrc_train.data.categories import Categories
from mrc_train.data.coco import load_split
from mrc_train.errors import RunDirectoryError, reason
from mrc_train.inference import LoadedModel
from mrc_train.log import quiet_tensorpack
from mrc_train.model.detector import INFERENCE_INPUTS, MaskRCNN
from mrc_train.side_files import read_classes, read_settings
from mrc_train.tfgraph import tf, v1
from mrc_train.weights import write_npz

from tensorpack import OfflinePredictor, PredictConfig  # isort: skip
from tensorpack.tfutils import SmartInit  # isort: skip
from tensorpack.tfutils.sesscreate import NewSessionCreator  # isort: skip

_CLASSES = re.compile(r"^(?!rpn/).*\bclass/[Wb]$")
"""Weights with one column for each class and one for the background."""


class Predictor(LoadedModel):
    """``Predictor.load("runs/first")``, then ``predictor(image)``.

    Args:
        weights: values by variable name.

    Attributes:
        checkpoint: prefix of the checkpoint's files, or the .npz.
    """

    def __init__(
        self, cfg: Config, categories: Categories, checkpoint: Path, weights: dict[str, npt.NDArray[Any]]
    ) -> None:
        self.checkpoint = checkpoint
        quiet_tensorpack()
        model = MaskRCNN(cfg, categories.num_classes)
        self._output_names = model.output_names
        with tf.Graph().as_default():
            self._predictor = OfflinePredictor(
                PredictConfig(
                    model=model,
                    session_init=SmartInit(weights, ignore_mismatch=True),
                    input_names=INFERENCE_INPUTS,
                    output_names=self._output_names,
                    session_creator=NewSessionCreator(config=exported.session_config()),
                )
            )
        super().__init__(self._predictor, cfg, categories)
        with self._predictor.graph.as_default():
            shapes = {v.op.name: tuple(v.shape.as_list()) for v in v1.global_variables()}
        for name, shape in shapes.items():
            if name not in weights or weights[name].shape != shape:
                raise RunDirectoryError(f"{checkpoint}: {_misfit(name, shape, weights, categories)}")

    @staticmethod
    def load(where: Path | str, settings: Sequence[str] = ()) -> "Predictor":
        """Load a run's newest readable checkpoint, any one checkpoint, or an .npz in tensorpack's names.

        An .npz has the classes of ``DATA.VAL``'s annotations.

        Args:
            where: the run's directory, ``model-<step>`` in it, or the .npz.
            settings: ``KEY=VALUE`` strings that take precedence over the run's settings; for an .npz, over
                the defaults.

        Raises:
            RunDirectoryError: when there is nothing that can be loaded.
            ConfigError: for settings that the trainer does not have.
        """
        if str(where).endswith(".npz"):
            return Predictor._of_npz(Path(where), settings)
        checkpoint, weights = _checkpoint(Path(where))
        directory = checkpoint.parent
        cfg = parse(settings, read_settings(directory))
        return Predictor(cfg, read_classes(directory), checkpoint, weights)

    @staticmethod
    def _of_npz(path: Path, settings: Sequence[str]) -> "Predictor":
        cfg = parse(settings)
        if not cfg.DATA.VAL:
            raise RunDirectoryError(f"{path}: its classes are unknown; name a split with them in DATA.VAL")
        categories = load_split(cfg.DATA.BASEDIR, cfg.DATA.VAL[0], masks=False).categories
        return Predictor(cfg, categories, path, load_weights(str(path)))

    def export(self, target: Path) -> None:
        """Write the model for a server, which loads it with ``mrc_train.exported``.

        A target that ends in .npz gets the weights in tensorpack's names instead. The target appears only
        when it is complete; missing parent directories are created.

        Raises:
            RunDirectoryError: when the target already exists, or TensorFlow cannot write it.
            OSError: when it cannot be written.
        """
        if target.exists():
            raise RunDirectoryError(f"{target}: already exists; export to a new path")
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.suffix == ".npz":
            with self._predictor.graph.as_default():
                variables = v1.global_variables()
            values = self._predictor.sess.run(variables)
            write_npz(target, {v.op.name: x for v, x in zip(variables, values, strict=True)})
            return
        with (
            tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary,
            naming(target),
        ):
            model = Path(temporary) / "model"
            try:
                exported.save(model, self._predictor.sess, INFERENCE_INPUTS, self._output_names)
            except tf.errors.OpError as error:
                raise RunDirectoryError(f"{target}: {reason(error).lower()}") from None
            content = exported.describe(self.cfg, self.categories, self.checkpoint.name)
            write_atomically(model / exported.MODEL_FILE, content)
            model.rename(target)
        flush_directory(target.parent)


def _checkpoint(where: Path) -> tuple[Path, dict[str, npt.NDArray[Any]]]:
    if where.is_dir():
        newest = newest_weights(where)
        if newest is None:
            raise RunDirectoryError(f"{where}: no complete checkpoint found; has the run saved one yet?")
        return newest
    prefix = where.with_suffix("") if where.suffix in (".index", ".data-00000-of-00001") else where
    if not prefix.with_name(prefix.name + ".index").exists():
        raise RunDirectoryError(
            f"{where}: no such checkpoint; name the run's directory or model-<step> in it"
        )
    try:
        return prefix, load_weights(str(prefix))
    except RunDirectoryError:
        raise RunDirectoryError(
            f"{prefix}: this checkpoint is incomplete: one of its files is missing or truncated; wait a "
            "moment if the run is saving it right now, or choose another checkpoint"
        ) from None


def _misfit(
    name: str, shape: tuple[int, ...], weights: dict[str, npt.NDArray[Any]], categories: Categories
) -> str:
    """Why the weights do not fit the model, whose variable ``name`` has this shape."""
    if name in weights and _CLASSES.search(name):
        names = categories.names
        few = ", ".join([*names[:4], *(["…"] if len(names) > 4 else [])])
        return (
            f"weights for {weights[name].shape[-1] - 1} classes, but {len(names)} are named ({few}); "
            "name the classes that it was trained with"
        )
    return (
        f"not the weights of the model that the settings describe, which has {name} {list(shape)}; "
        "pass the settings that it was trained with"
    )
