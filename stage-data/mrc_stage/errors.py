"""Errors of staging beyond those that every command has."""

from mrc_cli.errors import UserError


class WrongData(UserError):
    """The data itself is wrong: a digest, a name or a file is not as it has to be. Exit code 4."""

    exit_code = 4
