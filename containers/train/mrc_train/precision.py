"""Mixed precision: the type in which convolutions compute, and the loss scale that float16 needs.

Variables, gradients between ranks and the optimizer stay float32 in every case: TensorFlow rewrites the graph
of a session and adds casts around the operations that benefit.
"""

from typing import Any, Literal

from mrc_train.tfgraph import v1

Precision = Literal["float32", "float16", "bfloat16"]

LOSS_SCALE = "current_loss_scale"
"""Name of the variable with the loss scale, chosen by TensorFlow."""


def mixed_precision(has_gpu: bool, cpuinfo: str) -> Precision:
    """The type that mixed precision uses on a machine; float32 where there is no benefit.

    With AVX512_BF16 alone, as with none, the demo's model is slower in bfloat16 (docs/benchmarks.md).

    Args:
        cpuinfo: the text of /proc/cpuinfo.
    """
    if has_gpu:
        return "float16"
    return "bfloat16" if "amx_bf16" in cpuinfo.split() else "float32"


def with_loss_scale(optimizer: Any) -> Any:
    """An optimizer that scales the loss by a power of two, so that small gradients are not 0 in float16.

    A step whose gradients (those of all ranks) are NaN or infinite changes no variable and halves the scale;
    2,000 steps without one double it (Micikevicius et al. 2018).
    """
    scale = v1.mixed_precision.DynamicLossScale()
    v1.summary.scalar("loss_scale", scale())
    return v1.mixed_precision.MixedPrecisionLossScaleOptimizer(optimizer, scale)
