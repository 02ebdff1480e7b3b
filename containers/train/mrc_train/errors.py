"""The errors of a training run that its user can fix, beside those of the settings and the data."""

from mrc_cli.errors import UserError


class NotFiniteError(UserError):
    """The loss or a weight became NaN or infinite."""


class RunFolderError(UserError):
    """The run's folder, or a file named for the run, cannot be used."""


class Stopped(Exception):
    """A signal ended the run after a whole step; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
