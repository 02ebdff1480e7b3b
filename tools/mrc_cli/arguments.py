"""Command lines of the programs that use argparse."""

import argparse
from typing import NoReturn

from mrc_cli.terminal import one_line


class ArgumentParser(argparse.ArgumentParser):
    """A parser whose messages show control characters of the arguments instead of sending them."""

    def error(self, message: str) -> NoReturn:
        """Print usage and message to stderr, and exit with code 2."""
        super().error(one_line(message))
