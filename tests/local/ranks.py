"""Replaces the trainer: real MPI ranks without TensorFlow, with the trainer's log lines and progress.json.

STEPS: number of steps, 50 ms each. FAIL_RANK: the rank that fails in step 3. Resumes after the step in
progress.json.
"""

import argparse
import json
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import FrameType

from mpi4py import MPI
from mrc_train.run_lines import Progress

comm = MPI.COMM_WORLD
parser = argparse.ArgumentParser()
parser.add_argument("--logdir", type=Path, required=True)
parser.add_argument("--config", nargs="*")
arguments = parser.parse_args()
arguments.logdir.mkdir(parents=True, exist_ok=True)
progress = arguments.logdir / "progress.json"
steps = int(os.environ["STEPS"])
first = json.loads(progress.read_text())["step"] + 1 if progress.exists() else 1
comm.barrier()


def leave_a_trace(number: int, frame: FrameType | None) -> None:
    (arguments.logdir / f"terminated-{comm.rank}").touch()
    os._exit(1)


signal.signal(signal.SIGTERM, leave_a_trace)
report = {
    "rank": comm.rank,
    "size": comm.size,
    "sum": comm.allreduce(10**comm.rank),
    "first": first,
    "config": arguments.config,
    "shared_fs": os.environ["SHARED_FS"],
    "data_fs": os.environ["DATA_FS"],
}
(arguments.logdir / f"rank-{comm.rank}.json").write_text(json.dumps(report))
for step in range(first, steps + 1):
    time.sleep(0.05)
    if comm.rank == 0:
        reached = Progress(step, steps, 1, 1, 0.5, 20.0, 1)
        print(reached.line(), flush=True)
        fresh = progress.with_suffix(".tmp")
        fresh.write_text(json.dumps(asdict(reached)))
        fresh.replace(progress)
    if step == 3 and os.environ.get("FAIL_RANK") == str(comm.rank):
        print("ValueError: image 7 has no pixels", file=sys.stderr, flush=True)
        comm.Abort(3)
