"""``mrc-train`` whose first evaluation fails in detection and whose second fails in scoring."""

from typing import Any

from quick_train import MpiRanks, main

ranks = MpiRanks()

from mrc_train.callbacks import evaluator  # noqa: E402


def fails_once(name: str, fails_here: bool) -> None:
    real = getattr(evaluator, name)
    calls = 0

    def replacement(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 1 and fails_here:
            raise KeyError("area")
        return real(*arguments)

    setattr(evaluator, name, replacement)


# Detection fails on the last rank only: the others must not wait for it.
fails_once("coco_results", ranks.rank == ranks.size - 1)
fails_once("evaluate", True)
main()
