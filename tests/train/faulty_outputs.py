"""``mrc-train`` in which one output after the other cannot be written, a fault in each epoch.

``LD_PRELOAD=faulty_files.so python faulty_outputs.py NAME:ERRNO,... <arguments of mrc-train>``. Prints
``fault NAME ERRNO hits`` after each epoch.
"""

import ctypes
import sys
from typing import Any

from quick_train import main

faults = [fault.split(":") for fault in sys.argv.pop(1).split(",")]
library = ctypes.CDLL(None)

from mrc_train.callbacks.step_monitor import StepMonitor  # noqa: E402

before_epoch, after_train = StepMonitor._before_epoch, StepMonitor._after_train
current: list[str] = []


def report() -> None:
    if current:
        print("fault", *current, library.fault_hits(), flush=True)


def start_epoch(self: Any) -> None:
    global current
    report()
    current = faults.pop(0) if faults else []
    library.fault_set(current[0].encode() if current else b"", int(current[1]) if current else 0)
    before_epoch(self)


def end(self: Any) -> None:
    library.fault_set(b"", 0)
    after_train(self)


StepMonitor._before_epoch = start_epoch
StepMonitor._after_train = end
main()
