"""The edge of a command: where errors that the user can correct become one line and an exit code."""

import os
import shutil
import signal
import sys
from collections.abc import Callable

from mrc_cli.errors import UserError
from mrc_cli.terminal import one_line, say


def run(name: str, command: Callable[[], object]) -> None:
    """Run a command; a UserError or an OSError ends it with ``name: message`` on stderr and its exit code."""
    try:
        command()
    except UserError as error:
        say(one_line(f"{name}: {error}"))
        sys.exit(error.exit_code)
    except BrokenPipeError:
        # The reader of stdout is gone; without this Python complains when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        say(one_line(f"{name}: {reason(error)}"))
        sys.exit(1)


def reason(error: OSError) -> str:
    """``file: no space left on device``; of a copy of many files, the first that failed."""
    if isinstance(error, shutil.Error) and isinstance(error.args[0], list):
        _, target, text = error.args[0][0]
        return f"{target}: {text.removesuffix(f': {str(target)!r}')}"
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{(error.strerror or str(error)).lower()}"


def end_on_sigterm() -> None:
    """Let SIGTERM clean up as Ctrl-C does, and exit with 143. A pod that is deleted gets it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
