"""Operations of a two-stage detector: pure TensorFlow graph functions without variables or configuration.

Shapes in this package: B images, A anchors, R RoIs, N boxes of any kind, G ground-truth boxes per image
(padded), C classes including the background, which is class 0, S samples. Boxes are float32
``x1, y1, x2, y2`` in pixels of the resized image; the width is ``x2 - x1``. Operations work on a batch
(leading dimension B) without a loop over its images. Random choices depend only on a seed, int32 (2,) per
image, so that a resumed run repeats them.

In graph mode ``==`` compares tensor objects, not their values: use ``tf.equal``.
"""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A ``tf.Tensor``. TensorFlow has no type annotations, so docstrings give dtype and shape."""
