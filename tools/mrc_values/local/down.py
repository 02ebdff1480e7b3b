"""Stops a local release and removes what its processes left behind."""

import os

from mrc_values.local import processes, scratch
from mrc_values.local.state import Phase, Release, Store

SUPERVISOR_TIMEOUT = 30.0
"""Seconds for the supervisor to end its run after SIGTERM."""


def stop(store: Store, release: Release) -> bool:
    """Stop the release, its TensorBoard and any process left over; True when anything was running."""
    supervisor = release.supervisor.process() if release.supervisor else None
    was_running = release.phase is Phase.RUNNING or bool(processes.marked(release.mark))
    if supervisor is not None and supervisor.pid != os.getpid():
        processes.end_one(release.supervisor, grace=SUPERVISOR_TIMEOUT)
    release = store.get(release.name)
    clean_up(release)
    was_running = was_running or (
        release.tensorboard is not None and release.tensorboard.process() is not None
    )
    processes.end_one(release.tensorboard)
    release.tensorboard, release.tensorboard_address = None, ""
    release.stopped = release.stopped or release.exit_code is None
    store.save(release)
    return was_running


def clean_up(release: Release) -> int:
    """End the processes of a release whose supervisor is gone; returns how many there were."""
    count = len(processes.marked(release.mark))
    processes.end(release.mark)
    scratch.remove(release.scratch, release.mark)
    return count
