"""``mrc-train`` without TensorFlow's graph optimization, which takes longer than the few steps of a test.

Scripts that change the trainer import this first: it sets the environment and starts MPI, which has to be
done before TensorFlow is imported.
"""

import sys
from typing import Any

from mrc_train import cpu_environment
from mrc_train.ranks import MpiRanks

cpu_environment.set_defaults()
if "TRAINER=horovod" in sys.argv:
    MpiRanks()

from mrc_train import session  # noqa: E402
from mrc_train.train import main  # noqa: E402

with_optimization = session.session_config


def session_config(*arguments: Any) -> Any:
    config = with_optimization(*arguments)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


session.session_config = session_config
if __name__ == "__main__":
    main()
