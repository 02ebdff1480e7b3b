"""The user's Kubernetes cluster: its objects, its releases, and checks before an install."""
