class ClusterError(Exception):
    """The cluster cannot be built, started or reached; the message is one line with the remedy."""
