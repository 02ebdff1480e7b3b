"""Pictures of several sizes in one batch: what lies beyond a picture's own part of a map has no say.

A picture's own part is its size rounded up to a multiple of 32, its shape in a batch of one. Kept at zero
beyond that, every convolution sees there what it would see beyond the edge of the map, so that a picture
has the same losses and detections beside larger ones as alone. (Batch norm's statistics of a batch, with
BN and SyncBN, are the exception: they are those of all positions.)
"""

from mrc_train.data.images import padded
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf


class Padding:
    """Own parts of the pictures of a batch.

    Args:
        image: (B, H, W, 3), H and W multiples of 32.
        image_size: float32 (B, 2), height and width without padding.
    """

    def __init__(self, image: Tensor, image_size: Tensor) -> None:
        self._whole = tf.shape(image)[1:3]
        self._own = padded(tf.cast(image_size, tf.int32))

    def own_size(self, x: Tensor) -> Tensor:
        """int32 (B, 2): rows and columns of the own parts of maps ``x`` (B, h, w, ...) of any stride.

        The picture's share of the padded height, rounded: exact for strides up to 32, and for P6, whose
        sides are rounded up.
        """
        return (2 * self._own * tf.shape(x)[1:3] + self._whole) // (2 * self._whole)

    def own(self, x: Tensor) -> Tensor:
        """bool (B, h, w): which positions of the maps ``x`` are in their picture's own part."""
        shape, size = tf.shape(x), self.own_size(x)
        rows, columns = tf.sequence_mask(size[:, 0], shape[1]), tf.sequence_mask(size[:, 1], shape[2])
        return rows[:, :, None] & columns[:, None, :]


def cleared(x: Tensor, padding: Padding | None) -> Tensor:
    """Maps ``x`` (B, h, w, ch) with zeros outside the own parts; without padding, ``x`` itself."""
    return x if padding is None else x * tf.cast(padding.own(x), x.dtype)[..., None]
