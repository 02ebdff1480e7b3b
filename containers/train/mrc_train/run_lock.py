"""The lock that keeps two jobs from writing into one run directory."""

import errno
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mrc_train.errors import RunDirectoryError

TIMEOUT_SECONDS = 600.0
"""Longer than a launcher's grace period, and than Open MPI takes to notice that a node is gone (300 s and a
few probes): a restarted job waits for the ranks of the one before it."""

NOTICE_SECONDS = 30.0

_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL}
"""What flock reports on file systems that are mounted without support for locks."""

log = logging.getLogger("mrc_train")


@contextmanager
def hold_run_lock(logdir: Path, timeout_seconds: float = TIMEOUT_SECONDS) -> Iterator[None]:
    """Hold ``logdir``/lock; while another process holds it, wait and say so.

    Raises:
        RunDirectoryError: when the directory cannot be written to, when its file system has no locks, or
            when the lock is still held after ``timeout_seconds``.
    """
    descriptor = _open(logdir)
    try:
        _acquire(descriptor, logdir, timeout_seconds)
        yield
    finally:
        os.close(descriptor)


def _open(logdir: Path) -> int:
    try:
        logdir.mkdir(parents=True, exist_ok=True)
        return os.open(logdir / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise RunDirectoryError(
            f"{logdir}: {error.strerror}; choose a directory that this user can write to"
        ) from None


def _acquire(descriptor: int, logdir: Path, timeout_seconds: float) -> None:
    deadline = time.monotonic() + timeout_seconds
    next_notice = time.monotonic()
    while not _try(descriptor, logdir):
        now = time.monotonic()
        if now >= deadline:
            raise RunDirectoryError(
                f"{logdir}: another run has written here for {timeout_seconds:.0f} s; stop it, or choose "
                "another directory"
            )
        if now >= next_notice:
            log.warning(
                f"{logdir}: another run writes here; waiting up to {deadline - now:.0f} s for it to end"
            )
            next_notice = now + NOTICE_SECONDS
        time.sleep(min(1.0, max(0.05, deadline - now)))


def _try(descriptor: int, logdir: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise RunDirectoryError(
            f"{logdir}: its file system does not support locks ({error.strerror}); mount it with the option "
            "flock (Lustre), or without nolock (NFS)"
        ) from None
    return True
