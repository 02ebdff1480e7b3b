"""Run the release that Helm renders as processes on this machine, without a cluster."""
