"""One rank of a model with SyncBN, under mpirun: writes its losses, gradients and updated moving averages.

Usage: ``python sync_norm_ranks.py DIRECTORY``
"""

import sys
from pathlib import Path

from mrc_train.ranks import MpiRanks

ranks = MpiRanks()

import horovod.tensorflow as hvd  # noqa: E402
import numpy as np  # noqa: E402
from model_graphs import Graph  # noqa: E402
from test_model_norms import BATCHES, SETTINGS  # noqa: E402

hvd.init()
graph = Graph(*SETTINGS, "BACKBONE.NORM=SyncBN", training=True)
batch = BATCHES[ranks.rank]
results = graph(batch, ranks.rank) | graph(batch, ranks.rank, gradients=True) | graph.averages()
np.savez(Path(sys.argv[1]) / f"{ranks.rank}.npz", **results)
