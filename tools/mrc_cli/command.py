"""The edge of a command: where errors that the user can correct become one line and an exit code."""

import os
import signal
import sys
from collections.abc import Callable

from mrc_cli.errors import UserError
from mrc_cli.terminal import say


def run(name: str, command: Callable[[], object]) -> None:
    """Run a command; a UserError or an OSError ends it with ``name: message`` on stderr and its exit code."""
    try:
        command()
    except UserError as error:
        say(f"{name}: {error}")
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of stdout is gone; without this Python complains when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        say(f"{name}: {where}{(error.strerror or str(error)).lower()}")
        sys.exit(1)


def end_on_sigterm() -> None:
    """Let SIGTERM clean up as Ctrl-C does, and exit with 143. A pod that is deleted gets it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
