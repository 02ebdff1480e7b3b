"""The Mask R-CNN graph: backbone, feature pyramid and heads, and the detector that combines them.

Tensors are NHWC; TensorFlow's layout optimizer converts convolutions to NCHW where that is faster on a GPU.
Variables have the names and shapes of tensorpack's FasterRCNN example, so that either can load the weights
of the other.
"""
