"""``mrc-train`` in which one output after the other cannot be written, a fault in each epoch.

``LD_PRELOAD=faulty_files.so python faulty_outputs.py NAME:ERRNO,... <arguments of mrc-train>``. Prints
``fault NAME ERRNO hits`` after each epoch. In the last one, which has no such fault, saving the checkpoint
fails once with each error; prints ``checkpoint NAME:ERRNO: message`` for each.
"""

import sys
from typing import Any

import faults
from quick_train import main

outputs = [fault.split(":") for fault in sys.argv.pop(1).split(",")]

from mrc_train import progress  # noqa: E402
from mrc_train.callbacks.checkpoint_saver import CheckpointSaver  # noqa: E402
from mrc_train.callbacks.step_monitor import StepMonitor  # noqa: E402
from mrc_train.errors import RunDirectoryError  # noqa: E402

progress.PERIOD_SECONDS = 0  # a report after every step

before_epoch, after_train, save = StepMonitor._before_epoch, StepMonitor._after_train, CheckpointSaver.save
current: list[str] = []
saved = False


def start_epoch(self: Any) -> None:
    global current
    hits = faults.end()
    if current:
        print("fault", *current, hits, flush=True)
    current = outputs.pop(0) if outputs else []
    if current:
        faults.begin(current[0], int(current[1]))
    before_epoch(self)


def save_with_faults(self: Any) -> None:
    global saved
    if not current and not saved:
        saved = True
        for name in ("/model-", "fsync /model-"):
            for number in faults.NUMBERS:
                with faults.fault(name, number):
                    try:
                        save(self)
                    except RunDirectoryError as error:
                        print(f"checkpoint {name}:{number}: {error}", flush=True)
    save(self)


StepMonitor._before_epoch = start_epoch
CheckpointSaver.save = save_with_faults
main()
