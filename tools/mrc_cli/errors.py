"""The one family of errors that end a command with one line on stderr instead of a traceback."""


class UserError(Exception):
    """Something that the user can correct: what is wrong, where, and how to fix it, all in one line.

    Attributes:
        exit_code: of the command that the error ends: 1, unless a subclass says otherwise.
    """

    exit_code = 1


class UsageError(UserError):
    """The command line itself is wrong."""

    exit_code = 2


class ServiceError(UserError):
    """A service outside this machine, such as the cluster or AWS, cannot be reached or denies a request."""

    exit_code = 3
