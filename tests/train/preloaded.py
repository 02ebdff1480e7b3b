"""Programs that run in a fork of a process that has imported TensorFlow.

The import takes almost as much CPU time as a training of a few steps. The process has a single thread, so
that a fork of it is complete.
"""

import importlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["quick_train", "mrc_train.predict"])


def run(module: str, arguments: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
    """Call the ``main`` of a module as its console script does, and return the output as text."""
    with tempfile.NamedTemporaryFile("r") as stdout, tempfile.NamedTemporaryFile("r") as stderr:
        files = stdout.name, stderr.name
        process = _FORKS.Process(target=_main, args=(module, arguments, files, os.sched_getaffinity(0)))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired([module, *arguments], timeout)
        return subprocess.CompletedProcess(arguments, process.exitcode, stdout.read(), stderr.read())


def _main(module: str, arguments: Sequence[str], files: Sequence[str], cores: set[int]) -> None:
    os.sched_setaffinity(0, cores)
    for descriptor, file in enumerate(files, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_APPEND), descriptor)
    sys.exit(importlib.import_module(module).main(arguments))
