import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from local_run import LocalRun


@pytest.fixture
def run(tmp_path: Path) -> Iterator[LocalRun]:
    """A release in a separate directory; processes that a failed test left behind are killed."""
    run = LocalRun(tmp_path)
    yield run
    for pid in run.processes():
        os.kill(pid, signal.SIGKILL)
