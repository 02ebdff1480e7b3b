"""Mask R-CNN on tensorpack, TensorFlow and Horovod: from one laptop core to hundreds of GPUs."""
