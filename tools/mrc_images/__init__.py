"""Builds and pushes the container images."""
