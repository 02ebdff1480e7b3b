"""Group normalization (Wu & He 2018)."""

from typing import Any

from mrc_train.model.valid_region import ValidRegion
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf, v1

from tensorpack.models import layer_register  # isort: skip

GROUPS = 32
"""The number of groups in the paper (table 3)."""


@layer_register(log_shape=False)
def GroupNorm(x: Tensor, gamma_initializer: Any = None, valid_region: ValidRegion | None = None) -> Tensor:
    """Group normalization of ``x`` (B, h, w, channels), with the statistics of the valid region.

    Raises:
        ValueError: if the number of channels is not a multiple of 32.
    """
    channels = x.shape.as_list()[-1]
    if channels % GROUPS:
        raise ValueError(f"group normalization needs a multiple of {GROUPS} channels, not {channels}")
    shape = tf.shape(x)
    grouped = tf.reshape(x, [shape[0], shape[1], shape[2], GROUPS, channels // GROUPS])
    mean, variance = _moments(grouped, valid_region)
    beta = v1.get_variable("beta", [channels], initializer=v1.zeros_initializer())
    gamma = v1.get_variable("gamma", [channels], initializer=gamma_initializer or v1.ones_initializer())
    normal = (grouped - mean) * v1.rsqrt(variance + 1e-5)
    return tf.reshape(normal, shape) * gamma + beta


def _moments(grouped: Tensor, valid_region: ValidRegion | None) -> tuple[Tensor, Tensor]:
    axes = [1, 2, 4]
    if valid_region is None:
        mean, variance = tf.nn.moments(grouped, axes, keepdims=True)
        return mean, variance
    weight = tf.cast(valid_region.mask(grouped), grouped.dtype)[..., None, None]
    count = tf.reduce_sum(weight, axes, keepdims=True) * grouped.shape.as_list()[-1]
    mean = tf.reduce_sum(grouped * weight, axes, keepdims=True) / count
    return mean, tf.reduce_sum(weight * (grouped - mean) ** 2, axes, keepdims=True) / count
