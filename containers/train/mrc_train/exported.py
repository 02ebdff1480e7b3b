"""Exported models: what ``mrc-predict --export`` writes, loaded with TensorFlow alone, without tensorpack.

The directory holds a TensorFlow SavedModel (``saved_model.pb`` and ``variables/``) and ``model.json`` with
the format version, the class names and ids, and the settings, thresholds included.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.message import DecodeError
from mrc_cli.errors import UserError

from mrc_train.config import Config
from mrc_train.data.categories import Categories
from mrc_train.inference import LoadedModel
from mrc_train.tfgraph import tf, v1

FORMAT_VERSION = 1
"""Increased whenever older loaders cannot read the directory any more."""

MODEL_FILE = "model.json"
_SIGNATURE = "serving_default"
_EXPECTED = f"expected a directory written by mrc-predict --export, with {MODEL_FILE} and saved_model.pb"


class ExportedModelError(UserError):
    """A directory that is not a complete exported model of this format version."""


class ExportedModel(LoadedModel):
    """``ExportedModel.load("exported")``, then ``model(image)``: the same detections as Predictor's.

    Attributes:
        checkpoint: name of the checkpoint that was exported, such as ``model-900``.
    """

    def __init__(self, run: Any, cfg: Config, categories: Categories, checkpoint: str) -> None:
        super().__init__(run, cfg, categories)
        self.checkpoint = checkpoint

    @staticmethod
    def load(directory: Path | str) -> "ExportedModel":
        """Load an exported model.

        Raises:
            ExportedModelError: for another directory layout, another format version or a damaged model.
        """
        directory = Path(directory)
        cfg, categories, checkpoint = _read_description(directory)
        session = v1.Session(graph=tf.Graph(), config=session_config())
        try:
            with session.graph.as_default():
                loaded = v1.saved_model.load(session, [v1.saved_model.tag_constants.SERVING], str(directory))
            signature = loaded.signature_def[_SIGNATURE]
            inputs = [signature.inputs[name].name for name in ("image", "image_size")]
            outputs = [signature.outputs[name].name for name in _output_keys(cfg.MODE_MASK)]
            # make_callable resolves the names, and is faster than Session.run for each image.
            run = session.make_callable(outputs, inputs)
        except (OSError, ValueError, KeyError, RuntimeError, DecodeError, tf.errors.OpError) as error:
            reason = str(error).partition("\n")[0]
            raise ExportedModelError(
                f"{directory}: the SavedModel in it cannot be loaded ({reason}); export the model again"
            ) from None
        return ExportedModel(run, cfg, categories, checkpoint)


def describe(cfg: Config, categories: Categories, checkpoint: str) -> str:
    """The content of ``model.json``."""
    return json.dumps(
        {
            "format_version": FORMAT_VERSION,
            "checkpoint": checkpoint,
            "categories": categories.to_json(),
            "settings": yaml.safe_load(cfg.to_yaml()),
        },
        indent=2,
    )


def _read_description(directory: Path) -> tuple[Config, Categories, str]:
    path = directory / MODEL_FILE
    if not path.is_file() or not (directory / "saved_model.pb").is_file():
        raise ExportedModelError(f"{directory}: {_EXPECTED}")
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ExportedModelError(f"{path}: not a JSON object; {_EXPECTED}")
    version = content.get("format_version")
    if version != FORMAT_VERSION:
        raise ExportedModelError(
            f"{path}: format version {version}, expected {FORMAT_VERSION}; export the model again with the "
            "mrc-predict of this version"
        )
    try:
        categories = Categories.from_json(content.get("categories"))
        cfg = Config.from_yaml(json.dumps(content["settings"]))
    except (ValueError, KeyError, TypeError, UserError) as error:
        raise ExportedModelError(f"{path}: {error}; {_EXPECTED}") from None
    return cfg, categories, str(content.get("checkpoint"))


def session_config() -> Any:
    """Settings of a TensorFlow session for inference, which exported models and Predictor share.

    One thread for each operation: a second one gains little on a batch of one image.
    """
    config = v1.ConfigProto(allow_soft_placement=True, intra_op_parallelism_threads=1)
    config.gpu_options.allow_growth = True
    return config


def save(directory: Path, session: Any, inputs: Sequence[str], outputs: Sequence[str]) -> None:
    """Write the SavedModel of a session's graph; ``inputs`` and ``outputs`` are names of tensors.

    In the signature they are called by the last part of their names.
    """

    def tensors(names: Sequence[str]) -> dict[str, Any]:
        return {name.rpartition("/")[2]: session.graph.get_tensor_by_name(f"{name}:0") for name in names}

    with session.graph.as_default():
        v1.saved_model.simple_save(session, str(directory), tensors(inputs), tensors(outputs))


def _output_keys(masks: bool) -> list[str]:
    return ["image_index", "boxes", "scores", "labels", *(["masks"] if masks else [])]
