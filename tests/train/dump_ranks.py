"""``mrc-train``, but each rank writes its own trainable variables and momenta at the end of every epoch.

The trainer's broadcast at the end of an epoch is off: it would make the ranks equal in any case.
"""

import sys
from pathlib import Path

from quick_train import MpiRanks, main

ranks = MpiRanks()

import numpy as np  # noqa: E402
from mrc_train.callbacks.step_monitor import StepMonitor  # noqa: E402
from mrc_train.tfgraph import v1  # noqa: E402
from tensorpack import HorovodTrainer  # noqa: E402


def dump(monitor: StepMonitor) -> None:
    trained = v1.trainable_variables()
    variables = trained + [v for v in v1.global_variables() if v.op.name.endswith("/Momentum")]
    values = v1.get_default_session().run(variables)
    logdir = Path(sys.argv[sys.argv.index("--logdir") + 1])
    np.savez(
        logdir / f"rank-{ranks.rank}.npz", **{v.op.name: x for v, x in zip(variables, values, strict=True)}
    )


StepMonitor._after_epoch = dump
HorovodTrainer.BROADCAST_EVERY_EPOCH = property(lambda self: False, lambda self, value: None)
main()
