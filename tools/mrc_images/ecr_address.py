"""Addresses of images in Amazon ECR."""

import re

REGISTRY = re.compile(
    r"^(?P<account>\d{12})\.dkr\.ecr(?:-fips)?\.(?P<region>[^.]+)\.amazonaws\.com(?:\.cn)?/"
)
"""A complete registry at the start of a reference; the repository follows."""
