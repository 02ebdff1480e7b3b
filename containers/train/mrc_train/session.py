"""How tensorpack runs the graph: which trainer, which threads, how batches reach it."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrc_train.accumulation import AccumulatingHorovodTrainer, AccumulatingTrainer
from mrc_train.callbacks import WATCHED
from mrc_train.config import Config
from mrc_train.log import log
from mrc_train.precision import Precision, mixed_precision
from mrc_train.tfgraph import tf, v1

from tensorflow.core.protobuf import rewriter_config_pb2  # isort: skip
from tensorpack import DataFlow, HorovodTrainer, QueueInput, SimpleTrainer  # isort: skip
from tensorpack.dataflow import DataFlowTerminated  # isort: skip
from tensorpack.tfutils import get_default_sess_config  # isort: skip

PREFETCHED_BATCHES = 4


def trainer_for(cfg: Config) -> Any:
    """tensorpack's trainer; Horovod's averages gradients, so the learning rate is the total batch's."""
    batches = cfg.TRAIN.GRADIENT_ACCUMULATION
    trainer: Any
    if cfg.TRAINER == "horovod":
        trainer = (
            AccumulatingHorovodTrainer(batches, WATCHED, average=True)
            if batches > 1
            else HorovodTrainer(average=True)
        )
    else:
        trainer = AccumulatingTrainer(batches, WATCHED) if batches > 1 else SimpleTrainer()
    # Without it the optimizer may overwrite a weight that a gradient still reads: a run is not reproducible.
    trainer.GATE_GRADIENTS = True
    return trainer


def precision_of(cfg: Config) -> Precision:
    """What this machine computes convolutions with."""
    if not cfg.TRAIN.MIXED_PRECISION:
        return "float32"
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    chosen = mixed_precision(has_gpu, Path("/proc/cpuinfo").read_text())
    if chosen == "float32":
        log.info("this CPU has no AMX for bfloat16: TRAIN.MIXED_PRECISION (--fp16) changes nothing")
    return chosen


def session_config(precision: Precision) -> Any:
    """Each rank computes with its share of the cores: more threads than cores slow all ranks down."""
    ranks_on_this_machine = int(os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE", "1"))
    config = get_default_sess_config()
    config.intra_op_parallelism_threads = max(1, len(os.sched_getaffinity(0)) // ranks_on_this_machine)
    rewrites = config.graph_options.rewrite_options
    if precision == "float16":
        rewrites.auto_mixed_precision = rewriter_config_pb2.RewriterConfig.ON
    elif precision == "bfloat16":
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config


class _Numbered(DataFlow):
    """Batches with the number of their step in front; ends quietly when the flow fails, which keeps why."""

    def __init__(self, flow: DataFlow, start_step: int) -> None:
        self._flow = flow
        self._start = start_step

    def __iter__(self) -> Iterator[list[Any]]:
        try:
            for step, batch in enumerate(self._flow, self._start):
                yield [np.int32(step), *batch]
        except Exception as error:
            raise DataFlowTerminated from error


def input_queue(flow: DataFlow, start_step: int, specs: Sequence[Any]) -> QueueInput:
    """Batches read ahead of the graph; ``specs`` are the model's inputs, the number of the step the first."""
    queue = v1.FIFOQueue(PREFETCHED_BATCHES, [spec.dtype for spec in specs])
    return QueueInput(_Numbered(flow, start_step), queue=queue)
