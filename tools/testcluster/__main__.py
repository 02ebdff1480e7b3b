"""The command line: ``python -m testcluster up control-plane`` and ``down``, as called by the Makefile."""

import argparse
import sys
import time
from pathlib import Path

from testcluster.charts import install_mpijob, make_claims
from testcluster.cluster import Cluster
from testcluster.errors import ClusterError
from testcluster.nodes import parse_counts

DIRECTORY = Path(__file__).parents[2] / ".cluster"


def main() -> None:
    """Runs one command; an error is one line on stderr and exit code 1."""
    parser = argparse.ArgumentParser(prog="testcluster", description=sys.modules["testcluster"].__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start the cluster unless it is running")
    up.add_argument(
        "level", choices=["control-plane", "node"], help="control-plane: simulated nodes; node: one real node"
    )
    up.add_argument(
        "--nodes",
        default="",
        metavar="GROUP=N ...",
        help="numbers of simulated nodes that differ from the default",
    )
    commands.add_parser("down", help="stop the cluster and remove everything but its logs")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            _up(arguments.level, arguments.nodes)
        else:
            Cluster(DIRECTORY).down()
    except ClusterError as error:
        sys.exit(f"error: {error}")


def _up(level: str, nodes: str) -> None:
    counts = parse_counts(nodes) if level == "control-plane" else {}
    cluster = Cluster(DIRECTORY)
    began = time.monotonic()
    if cluster.up(counts):
        install_mpijob(cluster)
        make_claims(cluster, "kubeflow")
        nodes_up = f"{sum(counts.values())} simulated nodes" if counts else "one real node"
        print(f"The cluster is up after {time.monotonic() - began:.0f} s, with {nodes_up}.")
    else:
        print("The cluster is already running.")
    print("To use it:")
    print(f"  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.bin}:$PATH")
    print(
        "  helm install maskrcnn charts/maskrcnn --set maskrcnn.image=trainer:1 --set maskrcnn.node_group=p4d"
    )
    print("To stop it: make cluster-down")


if __name__ == "__main__":
    main()
