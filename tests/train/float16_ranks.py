"""``mrc-train`` on a CPU as in float16 on a GPU: the loss is scaled, but the graph computes in float32.

``python float16_ranks.py SCALE DIVISOR …``: the initial loss scale, and its divisor after a skipped step.
Each rank writes the same variables as with dump_ranks.py, and its loss scale.
"""

import sys
from functools import partial
from pathlib import Path

from mrc_train.ranks import MpiRanks

ranks = MpiRanks()

import numpy as np  # noqa: E402
from mrc_train import session  # noqa: E402
from mrc_train.callbacks.loss_scale_monitor import LossScaleMonitor  # noqa: E402
from mrc_train.tfgraph import v1  # noqa: E402
from mrc_train.train import main  # noqa: E402
from tensorpack import HorovodTrainer  # noqa: E402

scale, divisor = map(float, (sys.argv.pop(1), sys.argv.pop(1)))
v1.mixed_precision.DynamicLossScale = partial(
    v1.mixed_precision.DynamicLossScale, initial_loss_scale=scale, multiplier=divisor
)


def dump(_: LossScaleMonitor) -> None:
    variables = [v for v in v1.global_variables() if not v.op.name.startswith("EMA/")]
    values = v1.get_default_session().run({v.op.name: v for v in variables})
    logdir = Path(sys.argv[sys.argv.index("--logdir") + 1])
    np.savez(logdir / f"rank-{ranks.rank}.npz", **values)


session.precision_of = lambda cfg: "float16"
LossScaleMonitor._after_epoch = dump
HorovodTrainer.BROADCAST_EVERY_EPOCH = property(lambda self: False, lambda self, value: None)
main()
