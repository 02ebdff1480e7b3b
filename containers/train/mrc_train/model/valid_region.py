"""Valid regions of the images of a batch, which keep padding out of the computation.

Images of several sizes are padded to a common shape. The valid region of an image is its size rounded up to
a multiple of 32, which is its shape in a batch of its own. Feature maps are set to zero outside it, so that
convolutions see the zeros that they would see beyond the edge of the map. An image therefore has the same
losses and detections in every batch, except with BN and SyncBN, whose statistics include the padding.
"""

from mrc_train.data.images import padded
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf


class ValidRegion:
    """The valid region of each image of a batch, on feature maps of any stride.

    Args:
        image: (B, H, W, 3), H and W multiples of 32.
        image_size: float32 (B, 2), height and width without padding.
    """

    def __init__(self, image: Tensor, image_size: Tensor) -> None:
        self._padded_size = tf.shape(image)[1:3]
        self._valid_size = padded(tf.cast(image_size, tf.int32))

    def size(self, x: Tensor) -> Tensor:
        """Height and width of the valid regions of the maps ``x`` (B, h, w, ...): int32 (B, 2).

        The ratio of valid to padded size, applied to the map and rounded to the nearest integer. This is
        exact for strides up to 32, and for P6, whose height and width are rounded up.
        """
        return (2 * self._valid_size * tf.shape(x)[1:3] + self._padded_size) // (2 * self._padded_size)

    def mask(self, x: Tensor) -> Tensor:
        """Which locations of the maps ``x`` (B, h, w, ...) are in the valid region: bool (B, h, w)."""
        shape, size = tf.shape(x), self.size(x)
        rows, columns = tf.sequence_mask(size[:, 0], shape[1]), tf.sequence_mask(size[:, 1], shape[2])
        return rows[:, :, None] & columns[:, None, :]


def zero_outside(x: Tensor, valid_region: ValidRegion | None) -> Tensor:
    """Maps ``x`` (B, h, w, channels) with zeros outside the valid region; without one, ``x`` itself."""
    return x if valid_region is None else x * tf.cast(valid_region.mask(x), x.dtype)[..., None]
