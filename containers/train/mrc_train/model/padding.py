"""Images of several sizes in one batch: the padding has no influence on the results.

The valid region of an image is its size rounded up to a multiple of 32, which is its shape in a batch of one.
Maps are kept at zero outside of it, so that a convolution reads the same values there as outside the map,
and an image has the same losses and detections in a batch as alone. (The exception are the statistics of BN
and SyncBN, which are computed over all locations.)
"""

from mrc_train.data.images import padded
from mrc_train.ops import Tensor
from mrc_train.tfgraph import tf


class Padding:
    """The valid regions of the images of a batch.

    Args:
        image: (B, H, W, 3), H and W multiples of 32.
        image_size: float32 (B, 2), height and width without padding.
    """

    def __init__(self, image: Tensor, image_size: Tensor) -> None:
        self._whole = tf.shape(image)[1:3]
        self._valid = padded(tf.cast(image_size, tf.int32))

    def valid_size(self, x: Tensor) -> Tensor:
        """int32 (B, 2): rows and columns of the valid regions in maps ``x`` (B, h, w, ...) of any stride.

        The image's fraction of the padded size, rounded, is exact for strides up to 32, and for P6, whose
        sides are rounded up.
        """
        return (2 * self._valid * tf.shape(x)[1:3] + self._whole) // (2 * self._whole)

    def mask(self, x: Tensor) -> Tensor:
        """bool (B, h, w): the padding mask of maps ``x``, True inside the valid regions."""
        shape, size = tf.shape(x), self.valid_size(x)
        rows, columns = tf.sequence_mask(size[:, 0], shape[1]), tf.sequence_mask(size[:, 1], shape[2])
        return rows[:, :, None] & columns[:, None, :]


def cleared(x: Tensor, padding: Padding | None) -> Tensor:
    """Maps ``x`` (B, h, w, ch) with zeros outside the valid regions; without padding, ``x`` itself."""
    return x if padding is None else x * tf.cast(padding.mask(x), x.dtype)[..., None]
