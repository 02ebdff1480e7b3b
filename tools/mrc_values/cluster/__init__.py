"""The user's Kubernetes cluster: what it has, what it lacks, and the releases in it."""
