"""``mrc-train`` in which the first evaluation fails: ``python failing_evaluation.py detect|score …``."""

import sys
from typing import Any

from mrc_train.ranks import MpiRanks

ranks = MpiRanks()

from mrc_train.callbacks import evaluator  # noqa: E402
from mrc_train.train import main  # noqa: E402

stage = sys.argv.pop(1)
name = {"detect": "coco_results", "score": "evaluate"}[stage]
real = getattr(evaluator, name)
calls = 0


def fails_once(*arguments: Any) -> Any:
    global calls
    calls += 1
    # Detection fails on the last rank only: the others must not wait for it.
    if calls == 1 and (stage == "score" or ranks.rank == ranks.size - 1):
        raise KeyError("area")
    return real(*arguments)


setattr(evaluator, name, fails_once)
main()
