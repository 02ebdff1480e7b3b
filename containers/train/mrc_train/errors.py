"""What can go wrong that the user can mend. Each message is one line: what, where, what to do."""


class NotFiniteError(RuntimeError):
    """The loss became NaN or infinite."""


class RunFolderError(RuntimeError):
    """The run's folder, or a file named for the run, cannot be used."""
