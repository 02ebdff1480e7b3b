class ClusterError(Exception):
    """The cluster cannot be built, started or asked: one line that says what to do."""
