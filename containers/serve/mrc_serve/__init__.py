"""The inference server: one process with one model, behind HTTP, with a bounded queue.

Loads exported models with TensorFlow alone. tensorpack is imported only to serve a run's directory.
"""
