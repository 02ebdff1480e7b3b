"""A cluster with a real node stops its pods and leaves the machine unchanged."""

from pathlib import Path

from leftovers import Host, footprint
from testcluster.client import Client
from testcluster.cluster import Cluster
from testcluster.images import TRAIN

STAYS = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "stays"},
    "spec": {
        "containers": [
            {
                "name": "stays",
                "image": TRAIN,
                "command": ["sleep", "600"],
                "ports": [{"containerPort": 8080, "hostPort": 8080}],
            }
        ]
    },
}


def test_down_ends_the_pods_and_leaves_only_logs(tmp_path: Path) -> None:
    directory = tmp_path.parent / "c"  # short: the path of a Unix socket has at most 107 characters
    before = Host.now()
    cluster = Cluster(directory)
    try:
        cluster.up({}, with_caller=True)
        user = Client(cluster, "default")
        user.apply(STAYS)
        user.wait("pod/stays", "condition=Ready", 120)
        used = footprint(cluster, before)
        running = used.left()
        assert any("sleep 600" in item for item in running), "otherwise the test would look for nothing"
        assert any(item.startswith("/sys/fs/cgroup") for item in running)
    finally:
        cluster.down()
    assert used.left() == set()
    assert {path.name for path in directory.iterdir()} == {"lock", "logs"}
