"""How tensorpack runs the graph: the trainer, the options of the TensorFlow session, the input queue."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mrc_train.accumulation import AccumulatingHorovodTrainer, AccumulatingTrainer
from mrc_train.callbacks.step_monitor import WATCHED_TENSORS
from mrc_train.config import Config
from mrc_train.log import log
from mrc_train.precision import Precision, mixed_precision
from mrc_train.tfgraph import tf, v1

from tensorflow.core.protobuf import rewriter_config_pb2  # isort: skip
from tensorpack import DataFlow, HorovodTrainer, QueueInput, SimpleTrainer  # isort: skip
from tensorpack.dataflow import DataFlowTerminated  # isort: skip
from tensorpack.tfutils import get_default_sess_config  # isort: skip

PREFETCHED_BATCHES = 4
"""Capacity of the input queue."""


def trainer_for(cfg: Config) -> Any:
    """The tensorpack trainer for these settings.

    Horovod averages gradients over ranks, so the learning rate is that of the total batch.
    """
    batches = cfg.TRAIN.GRADIENT_ACCUMULATION
    trainer: Any
    if cfg.TRAINER == "horovod":
        # Besides the watchdog: Horovod itself detects when only some of the ranks exchange gradients.
        os.environ.setdefault("HOROVOD_STALL_SHUTDOWN_TIME_SECONDS", str(round(cfg.TRAIN.STEP_TIMEOUT)))
        trainer = (
            AccumulatingHorovodTrainer(batches, WATCHED_TENSORS, average=True)
            if batches > 1
            else HorovodTrainer(average=True)
        )
    else:
        trainer = AccumulatingTrainer(batches, WATCHED_TENSORS) if batches > 1 else SimpleTrainer()
    # Without gates the optimizer may update a weight before all gradients have read it, so that runs are not
    # reproducible.
    trainer.GATE_GRADIENTS = True
    return trainer


def precision_of(cfg: Config) -> Precision:
    """The precision of convolutions with these settings on this machine."""
    if not cfg.TRAIN.MIXED_PRECISION:
        return "float32"
    has_gpu = bool(tf.config.list_physical_devices("GPU"))
    chosen = mixed_precision(has_gpu, Path("/proc/cpuinfo").read_text())
    if chosen == "float32":
        log.info("this CPU has no AMX for bfloat16: TRAIN.MIXED_PRECISION (--fp16) changes nothing")
    return chosen


def session_config(precision: Precision) -> Any:
    """The session's options. Each rank gets its share of the cores: more threads than cores slow all down."""
    ranks_on_this_machine = int(os.environ.get("OMPI_COMM_WORLD_LOCAL_SIZE", "1"))
    config = get_default_sess_config()
    config.intra_op_parallelism_threads = max(1, len(os.sched_getaffinity(0)) // ranks_on_this_machine)
    rewrites = config.graph_options.rewrite_options
    if precision == "float16":
        rewrites.auto_mixed_precision = rewriter_config_pb2.RewriterConfig.ON
    elif precision == "bfloat16":
        rewrites.auto_mixed_precision_onednn_bfloat16 = rewriter_config_pb2.RewriterConfig.ON
    return config


class _NumberedBatches(DataFlow):
    """Batches preceded by their step, int32 (). If the flow fails, it keeps the error and the batches end."""

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
    """A queue that prefetches batches; ``specs`` are the model's inputs, of which the first is the step."""
    queue = v1.FIFOQueue(PREFETCHED_BATCHES, [spec.dtype for spec in specs])
    return QueueInput(_NumberedBatches(flow, start_step), queue=queue)
