"""What can go wrong that the user can mend. Each message is one line: what, where, what to do."""


class NotFiniteError(RuntimeError):
    """The loss or a weight became NaN or infinite."""


class RunFolderError(RuntimeError):
    """The run's folder, or a file named for the run, cannot be used."""


class Stopped(Exception):
    """A signal ended the run after a whole step; ``number`` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number
