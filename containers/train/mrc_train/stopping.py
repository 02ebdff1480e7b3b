"""Stopping a run by signals: the first lets the step finish, a second ends the process immediately."""

import os
import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""SIGUSR1 means SIGTERM: mpirun forwards it to all ranks, whereas it kills them a second after a SIGTERM."""


class StopRequest:
    """The request to stop this process, if a signal has arrived.

    Attributes:
        number: SIGTERM or SIGINT after the first signal, 0 before.
    """

    def __init__(self) -> None:
        self.number = 0

    def listen(self) -> None:
        """Handle the signals of this process. Only the main thread can call this."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        # Python runs signal handlers only after the current step, which never ends if another rank hangs. The
        # wake-up descriptor notifies the thread immediately.
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in SIGNALS:
            signal.signal(number, lambda *_: None)
        threading.Thread(target=self._watch, args=(reader,), name="mrc-signals", daemon=True).start()

    def _watch(self, reader: int) -> None:
        while True:
            for number in os.read(reader, 1):
                if self.number and number != signal.SIGUSR1:
                    os._exit(128 + number)
                self.number = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
