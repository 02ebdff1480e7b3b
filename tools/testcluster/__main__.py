"""``python -m testcluster up control-plane`` and ``down``; the Makefile calls it."""

import argparse
import sys
import time
from pathlib import Path

from testcluster.charts import install_mpijob, make_claims
from testcluster.cluster import Cluster
from testcluster.errors import ClusterError
from testcluster.nodes import parse_counts

FOLDER = Path(__file__).parents[2] / ".cluster"


def main() -> None:
    """Exit code 1 with one line on stderr when it does not work."""
    parser = argparse.ArgumentParser(prog="testcluster", description=sys.modules["testcluster"].__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start it, or leave it when it runs")
    up.add_argument("level", choices=["control-plane", "node"], help="simulated nodes, or a real one")
    up.add_argument(
        "--nodes", default="", metavar="GROUP=N ...", help="numbers of nodes, where not the usual"
    )
    commands.add_parser("down", help="stop it and leave nothing behind")
    arguments = parser.parse_args()
    try:
        if arguments.command == "up":
            _up(arguments.level, arguments.nodes)
        else:
            Cluster(FOLDER).down()
    except ClusterError as error:
        sys.exit(f"error: {error}")


def _up(level: str, nodes: str) -> None:
    counts = parse_counts(nodes) if level == "control-plane" else {}
    cluster = Cluster(FOLDER)
    began = time.monotonic()
    if cluster.up(counts):
        install_mpijob(cluster)
        make_claims(cluster, "kubeflow")
        what = f"{sum(counts.values())} simulated nodes" if counts else "a real node"
        print(f"Up after {time.monotonic() - began:.0f} s, with {what}.")
    else:
        print("Already up.")
    print("To use it:")
    print(f"  export KUBECONFIG={cluster.kubeconfig} PATH={cluster.bin}:$PATH")
    print(
        "  helm install maskrcnn charts/maskrcnn --set maskrcnn.image=trainer:1 --set maskrcnn.node_group=p4d"
    )
    print("To stop it: make cluster-down")


if __name__ == "__main__":
    main()
