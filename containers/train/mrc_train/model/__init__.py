"""The Mask R-CNN graph: backbone, feature pyramid, heads, and the detector that joins them.

Tensors are NHWC; TensorFlow's layout pass turns convolutions to NCHW where a GPU prefers that.
Variable names and shapes are those of tensorpack's FasterRCNN example, so its weights load here and
ours load there.
"""
