"""Errors that end a command with one line on stderr."""


class ToolError(Exception):
    """The command cannot do what it was asked; the message says what to do. Exit code 1."""

    exit_code = 1


class UsageError(ToolError):
    """The command was called wrongly. Exit code 2."""

    exit_code = 2
