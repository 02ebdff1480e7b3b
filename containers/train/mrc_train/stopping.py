"""Ending a run from outside: a first signal lets the step finish, a second ends the process at once."""

import os
import signal
import threading

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""SIGUSR1 means SIGTERM: mpirun hands it on to all ranks, while its own SIGTERM kills them a second later."""


class StopRequest:
    """What was asked for so far.

    Attributes:
        number: SIGTERM or SIGINT once one has come, else 0.
    """

    def __init__(self) -> None:
        self.number = 0

    def listen(self) -> None:
        """Take over the signals of this process. Only the main thread can call this."""
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        # Python's own handlers wait for a step to end, which takes for ever when another rank hangs; the
        # thread hears of a signal at once.
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
