"""A real Kubernetes cluster on one machine, for the tests and for trying the charts.

Its programs are built from Go modules and start within seconds. They run in separate PID, mount and network
namespaces, so a cluster that is killed leaves nothing behind.
"""
