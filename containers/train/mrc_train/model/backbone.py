"""ResNet (He et al. 2015) with bottleneck or basic blocks."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from mrc_train.config import Backbone
from mrc_train.model.norms import GroupNorm
from mrc_train.model.valid_region import ValidRegion, zero_outside
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf, v1  # must precede tensorpack, which needs the shims in it

from tensorpack.models import BatchNorm, Conv2D, MaxPooling  # isort: skip
from tensorpack.tfutils import argscope  # isort: skip
from tensorpack.tfutils.varreplace import custom_getter_scope, freeze_variables  # isort: skip


def preprocess(image: Tensor, image_size: Tensor, mean: Any, std: Any) -> Tensor:
    """Normalize images: float32 (B, H, W, 3), zero in the padding.

    Args:
        image: uint8 or float32 (B, H, W, 3) in BGR order.
        image_size: float32 (B, 2), height and width without padding.
        mean, std: three numbers each, in RGB order.
    """
    mean_bgr, std_bgr = (tf.constant(tuple(reversed(x)), tf.float32) for x in (mean, std))
    height, width = tf.shape(image)[1], tf.shape(image)[2]
    rows = tf.sequence_mask(tf.cast(image_size[:, 0], tf.int32), height, tf.float32)
    columns = tf.sequence_mask(tf.cast(image_size[:, 1], tf.int32), width, tf.float32)
    is_valid = rows[:, :, None, None] * columns[:, None, :, None]
    return (tf.cast(image, tf.float32) - mean_bgr) / std_bgr * is_valid


class ResNet:
    """Stages 2 to 5, with strides 4 to 32. Variables are named as in tensorpack's example.

    Args:
        valid_region: needed when a batch has images of several sizes.
    """

    def __init__(self, settings: Backbone, valid_region: ValidRegion | None = None) -> None:
        self._settings = settings
        self._valid_region = valid_region
        self._has_stage5 = False

    def features(self, image: Tensor, stages: int = 4) -> list[Tensor]:
        """Feature maps (B, H/s, W/s, channels) of the strides s = 4, 8, ..., one per stage.

        Args:
            image: float32 (B, H, W, 3), H and W multiples of 32.
        """
        settings = self._settings
        with self._layers(frozen=settings.FREEZE_AT > 0):
            x = self._padded(image, 2, 3)
            x = Conv2D("conv0", x, settings.CHANNELS[0], 7, strides=2, padding="VALID")
            x = self._padded(zero_outside(x, self._valid_region), 0, 1)
            x = MaxPooling("pool0", x, 3, strides=2, padding="VALID")
        maps = []
        for stage in range(stages):
            x = self._stage(x, stage)
            maps.append(x)
        return maps

    def stage5(self, rois: Tensor) -> Tensor:
        """Stage 5 on RoI features, (N, r, r, channels) to (N, r/2, r/2, channels'), the head of C4 models.

        Further calls share the variables of the first.
        """
        with v1.variable_scope(v1.get_variable_scope(), reuse=self._has_stage5):
            self._has_stage5 = True
            return self._stage(rois, 3)

    def _stage(self, x: Tensor, stage: int) -> Tensor:
        settings = self._settings
        frozen = stage + 1 < settings.FREEZE_AT
        with self._layers(frozen), v1.variable_scope(f"group{stage}"):
            for index in range(settings.RESNET_NUM_BLOCKS[stage]):
                with v1.variable_scope(f"block{index}"):
                    x = self._block(x, settings.CHANNELS[stage], 2 if stage > 0 and index == 0 else 1)
        return tf.stop_gradient(x) if frozen else x

    def _padded(self, x: Tensor, before: int, after: int) -> Tensor:
        """Zero padding before a strided layer.

        TensorFlow adds the odd row or column at the end, Caffe2 (``TF_PAD_MODE=False``) at the start.
        """
        pad = [before, after] if self._settings.TF_PAD_MODE else [after, before]
        return tf.pad(x, [[0, 0], pad, pad, [0, 0]])

    def _block(self, x: Tensor, channels: int, stride: int) -> Tensor:
        block = self._bottleneck if self._settings.BLOCK == "bottleneck" else self._basic
        residual, outputs = block(x, channels, stride)
        if x.shape.as_list()[3] != outputs:
            x = Conv2D("convshortcut", x, outputs, 1, strides=stride, activation=self._norm())
        elif stride > 1:
            x = MaxPooling("shortcut", x, 1, strides=stride)
        return tf.nn.relu(residual + x)

    def _bottleneck(self, x: Tensor, channels: int, stride: int) -> tuple[Tensor, int]:
        stride_1x1 = stride if self._settings.STRIDE_1X1 else 1
        x = Conv2D("conv1", x, channels, 1, strides=stride_1x1)
        x = self._conv3x3("conv2", x, channels, stride // stride_1x1)
        return self._last_conv("conv3", x, channels * 4, 1), channels * 4

    def _basic(self, x: Tensor, channels: int, stride: int) -> tuple[Tensor, int]:
        x = self._conv3x3("conv1", x, channels, stride)
        return self._last_conv("conv2", zero_outside(x, self._valid_region), channels, 3), channels

    def _conv3x3(self, name: str, x: Tensor, channels: int, stride: int) -> Tensor:
        x = zero_outside(x, self._valid_region)
        if stride == 1:
            return Conv2D(name, x, channels, 3)
        return Conv2D(name, self._padded(x, 0, 1), channels, 3, strides=stride, padding="VALID")

    def _last_conv(self, name: str, x: Tensor, channels: int, kernel: int) -> Tensor:
        """The last convolution of a block.

        ``ZERO_INIT_RESIDUAL`` initializes the gamma of its norm to 0 (Goyal et al. 2017, section 5.1).
        """
        if self._settings.NORM == "None":
            return Conv2D(
                name, x, channels, kernel, activation=tf.identity, kernel_initializer=v1.zeros_initializer()
            )
        zeros = v1.zeros_initializer() if self._settings.ZERO_INIT_RESIDUAL else None
        return Conv2D(name, x, channels, kernel, activation=self._norm(zeros))

    def _norm(self, gamma_initializer: Any = None) -> Callable[[Tensor], Tensor]:
        if self._settings.NORM == "None":
            return lambda x: x
        if self._settings.NORM == "GN":
            return lambda x: GroupNorm(
                "gn", x, gamma_initializer=gamma_initializer, valid_region=self._valid_region
            )
        # Keras would use Glorot's initializer for None.
        gamma_initializer = gamma_initializer or v1.ones_initializer()
        return lambda x: BatchNorm("bn", x, gamma_initializer=gamma_initializer)

    @contextmanager
    def _layers(self, frozen: bool) -> Iterator[None]:
        settings = self._settings

        def activation(x: Tensor) -> Tensor:
            return tf.nn.relu(self._norm()(x))

        initializer = v1.variance_scaling_initializer(
            scale=2.0, mode="fan_out", distribution="untruncated_normal"
        )
        with ExitStack() as stack:
            stack.enter_context(
                argscope(Conv2D, use_bias=False, activation=activation, kernel_initializer=initializer)
            )
            if frozen or settings.NORM == "FreezeBN":
                stack.enter_context(argscope(BatchNorm, training=False))
            elif settings.NORM == "SyncBN":
                stack.enter_context(argscope(BatchNorm, sync_statistics="horovod"))
            else:
                stack.enter_context(argscope(BatchNorm, ema_update="internal"))
            if frozen:
                stack.enter_context(freeze_variables(stop_gradient=False, skip_collection=True))
            elif settings.FREEZE_AFFINE:
                stack.enter_context(custom_getter_scope(_freeze_affine))
            yield


def _freeze_affine(getter: Any, *args: Any, **kwargs: Any) -> Tensor:
    if args[0].split("/")[-1] in ("gamma", "beta"):
        kwargs["trainable"] = False
    return getter(*args, **kwargs)
