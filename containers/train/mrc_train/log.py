"""Logging: our lines on stdout, and those together with all of tensorpack's in the run's log.log."""

import logging
import re
import sys
from pathlib import Path

from mrc_train.tfgraph import tf  # noqa: F401  tensorpack needs it prepared

from tensorpack.models.registry import disable_layer_logging  # isort: skip
from tensorpack.utils import logger as tensorpack_logger  # isort: skip

log = logging.getLogger("mrc_train")

_USELESS = re.compile(
    r"User-provided custom session config|To workaround this issue|import prctl failed|'fork' method"
    r"|uses moving_mean/moving_variance in training|Training failed at global_step="
)


def quiet_tensorpack() -> None:
    """Let only meaningful warnings of tensorpack reach the console."""
    disable_layer_logging()
    theirs = logging.getLogger("tensorpack")
    theirs.addFilter(lambda record: not _USELESS.search(str(record.msg)))
    for handler in theirs.handlers:
        handler.setLevel(logging.WARNING)


def to_console() -> None:
    """Write our lines to stdout."""
    quiet_tensorpack()
    ours = logging.StreamHandler(sys.stdout)
    ours.setFormatter(logging.Formatter("%(message)s"))
    log.addHandler(ours)
    log.setLevel(logging.INFO)


def to_directory(directory: Path) -> None:
    """Write all lines to ``directory``/log.log as well; the log of an earlier start is kept beside it."""
    tensorpack_logger.set_logger_dir(str(directory), action="k")
    log.addHandler(logging.getLogger("tensorpack").handlers[-1])
