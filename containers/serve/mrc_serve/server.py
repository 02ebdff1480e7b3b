"""Running the server: it listens at once, loads the model meanwhile, and finishes what it accepted."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator

import uvicorn
from mrc_cli.errors import UserError
from mrc_cli.terminal import one_line, say

from mrc_serve.app import Service
from mrc_serve.models import load_model, warm_up
from mrc_serve.settings import Settings

DRAIN_SECONDS = 28
"""For requests in progress after SIGTERM: SageMaker and Kubernetes send SIGKILL 30 s after it."""

KEEP_ALIVE_SECONDS = 75
"""Load balancers close an idle connection after 60 s. Closing earlier would race with their next request."""

BACKLOG = 512


def serve(settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT.

    Raises:
        UserError: when the port is taken or the model cannot be loaded.
    """
    with _listener(settings) as listener:
        service = Service(settings)
        config = uvicorn.Config(
            service.application(),
            log_level="error",
            access_log=False,
            server_header=False,
            lifespan="off",
            ws="none",
            backlog=BACKLOG,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        server = uvicorn.Server(config)
        failures: list[BaseException] = []
        loading = threading.Thread(target=_load, args=(settings, service, server, failures), daemon=True)
        loading.start()
        # uvicorn stops on the first signal, and raises it again when it has stopped.
        with _ignored_afterwards(signal.SIGTERM, signal.SIGINT):
            server.run(sockets=[listener])
    if failures:
        raise failures[0]
    say("mrc-serve: stopped")
    # TensorFlow's threads may still run, and end a process that cleans up under them with an abort.
    with contextlib.suppress(OSError):
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(0)


def _load(
    settings: Settings, service: Service, server: uvicorn.Server, failures: list[BaseException]
) -> None:
    started = time.monotonic()
    say(one_line(f"mrc-serve: loading {settings.model}"))
    try:
        model = load_model(settings.model)
        warm_up(model)
    except BaseException as error:
        failures.append(error)
        server.should_exit = True
        return
    service.model = model
    say(
        f"mrc-serve: ready after {time.monotonic() - started:.1f} s with {settings.workers} workers and "
        f"{len(model.categories.names)} classes"
    )


def _listener(settings: Settings) -> socket.socket:
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        listener = socket.create_server((settings.host, settings.port), family=family, backlog=BACKLOG)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise UserError(
            f"{settings.host}:{settings.port}: {reason}; choose another --port or --host"
        ) from None
    host, port = listener.getsockname()[:2]
    say(f"mrc-serve: listening on http://{f'[{host}]' if ':' in host else host}:{port}/")
    return listener


@contextlib.contextmanager
def _ignored_afterwards(*signals: signal.Signals) -> Iterator[None]:
    for number in signals:
        signal.signal(number, lambda number, frame: None)
    yield
