"""SIGTERM, with which SageMaker stops a job: every container gets it, 120 seconds before it is killed."""

import signal
import subprocess

from mrc_cli.terminal import say

STOPPED_CODES = (0, 128 + signal.SIGTERM, 128 + signal.SIGUSR1)
"""Exit codes of a trainer that stopped because it was asked to, or before it could listen."""


class StopSignal:
    """Whether SIGTERM has arrived. While a program runs, it gets SIGUSR1 then.

    mpirun forwards SIGUSR1 to all ranks, on all hosts, whereas it kills them a second after a SIGTERM. The
    trainer saves a checkpoint after either.
    """

    def __init__(self) -> None:
        self.requested = False
        self._process: subprocess.Popen[str] | None = None

    def listen(self) -> None:
        """Handle SIGTERM from now on. Not SIG_IGN, which child processes would inherit."""
        signal.signal(signal.SIGTERM, self._on_signal)

    def forward_to(self, process: "subprocess.Popen[str] | None") -> None:
        """The program that the signal is passed to; None after it has ended."""
        self._process = process
        if self.requested:
            self._pass_on()

    def _on_signal(self, number: int, frame: object) -> None:
        if not self.requested:
            say("train: SIGTERM: the run saves a checkpoint and stops")
        self.requested = True
        self._pass_on()

    def _pass_on(self) -> None:
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGUSR1)
