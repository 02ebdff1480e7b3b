"""Builds and pushes the container images: the command mrc-images.

``table`` lists the images, ``builders`` has docker and buildah, ``pushing`` brings one image into a registry,
to which ``registry`` and ``ecr`` talk, and ``commands`` is the command line.
"""
