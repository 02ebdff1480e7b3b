"""Logging: the trainer's lines to stdout, and together with all of tensorpack's to log.log."""

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

from mrc_cli.terminal import printable

from mrc_train.tfgraph import tf  # noqa: F401  tensorpack imports TensorFlow and needs it prepared

from tensorpack.models.registry import disable_layer_logging  # isort: skip
from tensorpack.utils import logger as tensorpack_logger  # isort: skip

log = logging.getLogger("mrc_train")

_USELESS = re.compile(
    r"User-provided custom session config|To workaround this issue|import prctl failed|'fork' method"
    r"|uses moving_mean/moving_variance in training|Training failed at global_step="
)


class _PrintableFormatter(logging.Formatter):
    """Class and file names come from data that others made: none of them may control the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def quiet_tensorpack() -> None:
    """Restrict tensorpack's console output to meaningful warnings."""
    disable_layer_logging()
    logger = logging.getLogger("tensorpack")
    logger.addFilter(lambda record: not _USELESS.search(str(record.msg)))
    for handler in logger.handlers:
        handler.setLevel(logging.WARNING)


def to_console() -> None:
    """Write the trainer's lines to stdout."""
    quiet_tensorpack()
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_PrintableFormatter("%(message)s"))
    log.addHandler(handler)
    log.setLevel(logging.INFO)


def to_directory(directory: Path) -> None:
    """Write all lines to ``directory``/log.log as well; an earlier log is kept under another name.

    When the file cannot be written, that is reported once, and the lines are still written to stdout.
    """
    tensorpack_logger.set_logger_dir(str(directory), action="k")
    handler = logging.getLogger("tensorpack").handlers[-1]
    # By default logging prints a traceback for each line that it cannot write.
    handler.handleError = _warning_once(directory / "log.log")  # type: ignore[method-assign, assignment]
    log.addHandler(handler)


def _warning_once(path: Path) -> Callable[[logging.LogRecord], None]:
    warned = False

    def handle_error(_: logging.LogRecord) -> None:
        nonlocal warned
        if not warned:
            warned = True  # first, since the warning itself comes here
            reason = getattr(sys.exc_info()[1], "strerror", None) or sys.exc_info()[1]
            log.warning(f"{path} cannot be written: {reason}; training continues")

    return handle_error
