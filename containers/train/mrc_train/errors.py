"""The errors of a training run that its user can fix, beside those of the settings and the data."""

import re
from typing import NamedTuple

from mrc_cli.errors import UserError


class ConfigProblem(NamedTuple):
    """One thing that is wrong with the settings.

    Attributes:
        keys: the settings involved, such as ``TRAIN.BASE_LR``, the one most likely to change first; empty
            for text that names no setting.
        message: a complete sentence without a full stop: what is wrong and what to do.
    """

    keys: tuple[str, ...]
    message: str


class ConfigError(UserError):
    """Settings that the trainer does not have or cannot use; the message has all problems in one line."""

    def __init__(self, *problems: ConfigProblem) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems


class NotFiniteError(UserError):
    """The loss or a weight became NaN or infinite."""


class RunDirectoryError(UserError):
    """A run's directory, or a file given for the run, cannot be used."""


class Stopped(Exception):
    """A signal ended the run after a whole step; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def reason(error: Exception) -> str:
    """Why a file cannot be written: "No space left on device", from an error of Python or TensorFlow."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    # TensorFlow's message is a page long; the line that names the file ends with the reason.
    match = re.search(r"/\S+; (.+)", str(error))
    return match[1] if match else str(error).partition("\n")[0]
