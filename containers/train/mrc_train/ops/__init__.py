"""Pure operations of a two-stage detector in TensorFlow graph mode: no variables, no configuration.

Shape shorthand of the whole package: B images, A anchors, R regions (RoIs), N boxes of any kind,
G ground-truth boxes per image (padded), C classes with background as class 0, S samples.
Boxes are float32 ``x1, y1, x2, y2`` in pixels of the resized image, where ``x2 - x1`` is the width.
Everything carries the leading B and has no loop over images. Random choices take a stateless seed,
an int32 tensor of shape (2,): the same seed gives the same choice, so that a resumed run repeats it.

In graph mode ``==`` between tensors compares the objects: use ``tf.equal``.
"""

from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A ``tf.Tensor``; TensorFlow ships no types. Docstrings give dtype and shape."""
