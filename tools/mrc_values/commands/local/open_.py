"""mrc-values local open"""

import signal
import sys
from typing import Annotated

import typer
from mrc_cli.errors import UsageError, UserError
from mrc_cli.terminal import result, say

from mrc_values.local.arguments import DEFAULT_STATE_DIRECTORY, Name, StateDirectory, open_store


def open_(
    name: Name,
    server: Annotated[str, typer.Argument(metavar="SERVER", help="jupyter or tensorboard.")],
    directory: StateDirectory = DEFAULT_STATE_DIRECTORY,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, help="Port for Jupyter. [default: the first free one from 8888 on]"),
    ] = 0,
) -> None:
    """Print TensorBoard's address, or run Jupyter with the test notebook until Ctrl-C.

    Both listen on 127.0.0.1 only. Jupyter asks for its token, which is printed only to a terminal.

    Example: mrc-values local open trial jupyter
    """
    from mrc_values.local import jupyter, tensorboard
    from mrc_values.local.up import programs_directory

    if server not in ("jupyter", "tensorboard"):
        raise UsageError(f"{server}: unknown server. Use jupyter or tensorboard.")
    store = open_store(directory, name)
    release = store.get(name)
    if server == "tensorboard":
        if not tensorboard.start(release, programs_directory(), store.file(name, ".tensorboard.log")):
            raise UserError("tensorboard is not installed in this environment. Install the extra viz.")
        store.save(release)
        result(release.tensorboard_address)
        return
    log = store.file(name, ".jupyter.log")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both signals end it in the same way
    try:
        with jupyter.running(release, programs_directory(), port or tensorboard.free_port(8888), log) as lab:
            secret = f"?token={lab.token}" if sys.stdout.isatty() else ""
            result(f"{lab.address}{secret}")
            say(f"notebooks: {jupyter.notebooks_directory(release)}. Press Ctrl-C to stop Jupyter.")
            lab.process.wait()
            raise UserError(f"Jupyter has ended. Its output: {log}")
    except KeyboardInterrupt:
        say("stopped.")
