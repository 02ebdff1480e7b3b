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
    server: Annotated[str, typer.Argument(metavar="SERVER", help="jupyter, tensorboard or serve.")],
    directory: StateDirectory = DEFAULT_STATE_DIRECTORY,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            help="Port for Jupyter or the inference server. [default: a free one from 8888 or 8080 on]",
            show_default=False,
        ),
    ] = 0,
) -> None:
    """Print TensorBoard's address, or run Jupyter or the inference server until Ctrl-C.

    All listen on 127.0.0.1 only. Jupyter has the test notebook, and asks for its token, which is printed only
    to a terminal. serve has the run's newest checkpoint, and a page to try it on images.

    Example: mrc-values local open trial jupyter
    """
    from mrc_values.local import inference, jupyter, tensorboard
    from mrc_values.local.up import programs_directory

    if server not in ("jupyter", "tensorboard", "serve"):
        raise UsageError(f"{server}: unknown server. Use jupyter, tensorboard or serve.")
    store = open_store(directory, name)
    release = store.get(name)
    if server == "tensorboard":
        if not tensorboard.start(release, programs_directory(), store.file(name, ".tensorboard.log")):
            raise UserError("tensorboard is not installed in this environment. Install the extra viz.")
        store.save(release)
        result(release.tensorboard_address)
        return
    log = store.file(name, f".{server}.log")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # both signals end it in the same way
    try:
        if server == "serve":
            port = port or tensorboard.free_port(inference.FIRST_PORT)
            say(f"mrc-serve: loading the newest checkpoint in {release.run_dir}")
            with inference.running(release, programs_directory(), port, log) as serving:
                result(serving.address)
                say("Drop an image on the page, or send one to /invocations. Press Ctrl-C to stop.")
                serving.process.wait()
            raise UserError(f"mrc-serve has ended. Its output: {log}")
        with jupyter.running(
            release, programs_directory(), port or tensorboard.free_port(8888), log
        ) as notebook_server:
            secret = f"?token={notebook_server.token}" if sys.stdout.isatty() else ""
            result(f"{notebook_server.address}{secret}")
            say(f"notebooks: {jupyter.notebooks_directory(release)}. Press Ctrl-C to stop Jupyter.")
            notebook_server.process.wait()
        raise UserError(f"Jupyter has ended. Its output: {log}")
    except KeyboardInterrupt:
        say("stopped.")
