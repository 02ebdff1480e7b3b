"""The launcher's log of a local release, read to its end or followed."""

import time
from collections.abc import Iterator

from mrc_cli.errors import UserError

from mrc_values.local.state import Phase, Store


def log_lines(store: Store, name: str, follow: bool, pause: float = 0.2) -> Iterator[str]:
    """Lines of the launcher's log; with ``follow``, new ones as they are written until the run has ended.

    Raises UserError when the log does not exist and no running release is about to write it.
    """
    release = store.get(name)
    while not release.log.exists():
        if not follow or release.phase is not Phase.RUNNING:
            raise UserError(f"{release.log} does not exist yet.")
        time.sleep(pause)
        release = store.get(name)
    with release.log.open(errors="replace") as log:
        partial = ""
        while True:
            # Asked before reading, so that everything written before the end is still read.
            running = follow and store.get(name).phase is Phase.RUNNING
            for piece in log:
                partial += piece
                if partial.endswith("\n"):
                    yield partial.rstrip("\n")
                    partial = ""
            if not running:
                break
            time.sleep(pause)
        if partial:
            yield partial
