"""Capturing what native code (Go, C++) writes to the process's standard error behind Python's back."""

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def filtered_stderr(is_noise: Callable[[str], bool]) -> Iterator[None]:
    """Hold back stderr within the block; afterwards every line that is not noise is printed there."""
    sys.stderr.flush()
    real_stderr = os.dup(2)
    with tempfile.TemporaryFile() as captured:
        os.dup2(captured.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(real_stderr, 2)
            os.close(real_stderr)
            captured.seek(0)
            for line in captured.read().decode(errors="replace").splitlines():
                if not is_noise(line):
                    print(line, file=sys.stderr)
