"""Feature pyramid network (Lin et al. 2017)."""

from mrc_train.config import Fpn
from mrc_train.model.norms import GroupNorm
from mrc_train.model.valid_region import ValidRegion, zero_outside
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf, v1

from tensorpack.models import Conv2D, MaxPooling  # isort: skip
from tensorpack.tfutils import argscope  # isort: skip


def feature_pyramid(
    features: list[Tensor], settings: Fpn, valid_region: ValidRegion | None = None
) -> list[Tensor]:
    """P2 to P6, each (B, H/s, W/s, NUM_CHANNEL), from C2 to C5; P6 is P5 subsampled by 2."""
    channels = settings.NUM_CHANNEL
    with (
        v1.variable_scope("fpn"),
        argscope(
            Conv2D, activation=tf.identity, kernel_initializer=v1.variance_scaling_initializer(scale=1.0)
        ),
    ):
        laterals = [
            _normalized(Conv2D(f"lateral_1x1_c{i}", c, channels, 1), f"gn_c{i}", settings, valid_region)
            for i, c in enumerate(features, 2)
        ]
        merged = [laterals[-1]]
        for lateral in reversed(laterals[:-1]):
            merged.insert(0, lateral + _upsample(merged[0]))
        pyramid = [
            _normalized(
                Conv2D(f"posthoc_3x3_p{i}", zero_outside(m, valid_region), channels, 3),
                f"gn_p{i}",
                settings,
                valid_region,
            )
            for i, m in enumerate(merged, 2)
        ]
        return [*pyramid, MaxPooling("maxpool_p6", pyramid[-1], 1, strides=2, padding="VALID")]


def _normalized(x: Tensor, name: str, settings: Fpn, valid_region: ValidRegion | None) -> Tensor:
    return GroupNorm(name, x, valid_region=valid_region) if settings.NORM == "GN" else x


def _upsample(x: Tensor) -> Tensor:
    """Nearest-neighbour upsampling by 2."""
    return v1.image.resize_nearest_neighbor(x, 2 * tf.shape(x)[1:3])
