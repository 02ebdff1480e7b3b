"""TensorFlow in graph mode, ready for tensorpack: import ``tf`` and ``v1`` from here, never directly.

tensorpack 0.11 was written for TensorFlow 1: it needs Keras 2 layers (tf-keras) and three functions
that TensorFlow 2 keeps under ``tf.compat.v1`` only.
"""

import gc
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mrc_cli.stderr import filtered_stderr

_BANNER = re.compile(r"All log messages before absl::InitializeLog|oneDNN custom operations are on")


@contextmanager
def _kept_from_garbage_collection() -> Iterator[None]:
    """Exclude what the block creates from all garbage collection.

    TensorFlow's import creates 400,000 objects that live to the end. Searching them for garbage again and
    again, during the import and later, takes a tenth of the CPU time of a start.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def _import_tensorflow() -> Any:
    """Import TensorFlow without its two banner lines, which no log level silences; other lines pass."""
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with (
        _kept_from_garbage_collection(),
        filtered_stderr(lambda line: _BANNER.search(line) is not None),
    ):
        import tensorflow
    return tensorflow


tf = _import_tensorflow()
v1 = tf.compat.v1

tf.get_logger().setLevel("ERROR")  # disable_v2_behavior warns about a deprecation of its own
v1.disable_v2_behavior()
for _name in ("global_variables", "variable_scope", "get_variable_scope"):
    if not hasattr(tf, _name):
        setattr(tf, _name, getattr(v1, _name))
