"""One rank of a model with SyncBN, under mpirun: writes its losses, gradients and moving averages after them.

python sync_norm_ranks.py FOLDER
"""

import sys
from pathlib import Path

from mrc_train.ranks import MpiRanks

ranks = MpiRanks()

import horovod.tensorflow as hvd  # noqa: E402
import numpy as np  # noqa: E402
from model_graphs import Graph  # noqa: E402
from test_model_norms import PICTURES, SETTINGS  # noqa: E402

hvd.init()
graph = Graph(*SETTINGS, "BACKBONE.NORM=SyncBN", training=True)
one = PICTURES[ranks.rank]
results = graph(one, ranks.rank) | graph(one, ranks.rank, gradients=True) | graph.averages()
np.savez(Path(sys.argv[1]) / f"{ranks.rank}.npz", **results)
