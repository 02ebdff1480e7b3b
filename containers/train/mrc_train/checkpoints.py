"""Which checkpoint a run goes on from, and what else of the run folder belongs to it."""

import json
import re
from pathlib import Path

from mrc_train.tfgraph import tf, v1

_CHECKPOINT = re.compile(r"model-(\d+)\.index")


def newest_whole(logdir: Path) -> Path | None:
    """Prefix of the newest checkpoint whose every tensor can be read (checksums included), or None.

    A checkpoint that was cut off while it was written is passed over.
    """
    steps = sorted(
        (int(m[1]) for f in logdir.glob("model-*.index") if (m := _CHECKPOINT.fullmatch(f.name))),
        reverse=True,
    )
    return next((prefix for step in steps if is_whole(prefix := logdir / f"model-{step}")), None)


def is_whole(prefix: Path) -> bool:
    """Whether every tensor of the checkpoint can be read."""
    try:
        reader = v1.train.NewCheckpointReader(str(prefix))
        for name in reader.get_variable_to_shape_map():
            reader.get_tensor(name)
    except (tf.errors.OpError, ValueError, RuntimeError, SystemError):
        return False
    return True


def step_of(prefix: Path) -> int:
    """Training steps behind a checkpoint ``model-<step>``."""
    return int(prefix.name.rpartition("-")[2])


def rewind(logdir: Path, step: int) -> None:
    """Cut stats.json back to ``step``, so that the run that goes on from there leaves no gap and no double.

    Also points TensorFlow's ``checkpoint`` file at model-<step> when that is not the newest on disk.
    """
    stats = logdir / "stats.json"
    if stats.exists():
        entries = [entry for entry in json.loads(stats.read_text()) if entry["global_step"] <= step]
        replace(stats, json.dumps(entries))
    if (logdir / f"model-{step}.index").exists():
        for index in logdir.glob("model-*.index"):
            if step_of(index.with_suffix("")) > step:
                index.rename(index.with_suffix(".broken"))
        kept = sorted((p.with_suffix("") for p in logdir.glob("model-*.index")), key=step_of)
        v1.train.update_checkpoint_state(
            str(logdir), kept[-1].name, [p.name for p in kept], save_relative_paths=True
        )


def replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old text or the new, never a part."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text)
    temporary.replace(path)
