"""A real Kubernetes for the tests and for trying the charts, built from Go modules and started in seconds.

It runs in namespaces of its own (processes, mounts, network), so that a killed cluster leaves nothing behind.
"""
