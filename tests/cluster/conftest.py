import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from testcluster.charts import CHARTS, make_claims, ready_cluster
from testcluster.client import Client, Object
from testcluster.cluster import Cluster, check_host
from testcluster.errors import ClusterError
from testcluster.nodes import DEFAULT
from testcluster.programs import build
from trainings import draw_scenes
from values_tool import submit

HELMS = {"helm4": "helm", "helm3": "helm3"}
"""Test ids and the programs in the cluster's bin directory."""

BATCH = 20
"""Number of namespaces that are created at a time."""


def pytest_sessionstart() -> None:
    """Stops with one line when no cluster can run here, instead of an error for each test."""
    try:
        check_host()
    except ClusterError as error:
        pytest.exit(f"error: {error}", returncode=1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster with simulated nodes."""
    with ready_cluster(tmp_path_factory.mktemp("cluster"), DEFAULT) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def node_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose pods run as processes; with MRC_TEST_CLUSTER, the running one in that directory."""
    if directory := os.environ.get("MRC_TEST_CLUSTER"):
        cluster = Cluster(Path(directory).absolute())
        if not (cluster.running and cluster.has_real_node):
            raise ClusterError(f"MRC_TEST_CLUSTER: no cluster with a real node runs in {cluster.directory}.")
        yield cluster
        return
    with ready_cluster(tmp_path_factory.mktemp("node-cluster"), {}) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def new_node_user(node_cluster: Cluster) -> Iterator[Callable[[], Client]]:
    """Creates users of the real node, each with a namespace and claims. The first one draws the data set."""
    made: list[Client] = []
    run = secrets.token_hex(3)

    def make() -> Client:
        user = Client(node_cluster, f"pods-{run}-{len(made)}")
        user.kubectl("create", "namespace", user.namespace)
        made.append(user)
        make_claims(node_cluster, user.namespace)
        if len(made) == 1:
            draw_scenes(user)
        return user

    yield make
    if "MRC_TEST_CLUSTER" not in os.environ:
        return  # the cluster is removed as a whole
    for user in made:
        volumes = [f"{user.namespace}-{claim['metadata']['name']}" for claim in user.objects("pvc")]
        user.kubectl("delete", "namespace", user.namespace)
        if volumes:
            user.kubectl("delete", "pv", *volumes)
        shutil.rmtree(node_cluster.volumes / "efs" / user.namespace, ignore_errors=True)


@pytest.fixture(scope="module")
def baseline_user(new_node_user: Callable[[], Client]) -> Client:
    """A user of the real node in whose namespace the baseline Pod Security Standard is enforced."""
    user = new_node_user()
    user.kubectl("label", "namespace", user.namespace, "pod-security.kubernetes.io/enforce=baseline")
    return user


@pytest.fixture(scope="session")
def namespaces(cluster: Cluster) -> Iterator[str]:
    """Empty namespaces with the charts' claims. A batch of them takes hardly longer than one."""

    def make() -> Iterator[str]:
        for first in count(step=BATCH):
            names = [f"test-{number}" for number in range(first, first + BATCH)]
            metas: list[Object] = [{"name": name} for name in names]
            Client(cluster, "default").apply(
                *({"apiVersion": "v1", "kind": "Namespace", "metadata": meta} for meta in metas)
            )
            make_claims(cluster, *names)
            yield from names

    return make()


@pytest.fixture
def new_client(cluster: Cluster, namespaces: Iterator[str]) -> Iterator[Callable[[], Client]]:
    """Creates users, each with an empty namespace that has the charts' claims."""
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(cluster, next(namespaces)))
        return made[-1]

    yield make
    for client in made:
        client.delete_all()


@pytest.fixture(scope="module")
def team(cluster: Cluster, namespaces: Iterator[str]) -> Iterator[Client]:
    """A user whose namespace, with the charts' claims, is shared by the tests of a module."""
    client = Client(cluster, next(namespaces))
    yield client
    client.delete_all()


@pytest.fixture
def user(new_client: Callable[[], Client]) -> Client:
    """A user with Helm 4 and an empty namespace that has the charts' claims."""
    return new_client()


@pytest.fixture
def running(user: Client) -> Client:
    """A user with a running job named demo."""
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=1")
    user.running("demo")
    return user


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    """Helm 4 and Helm 3, as names of programs for Client."""
    return HELMS[request.param]


@pytest.fixture(scope="session", params=HELMS)
def helm_program(request: pytest.FixtureRequest) -> Path:
    """The executables of Helm 4 and Helm 3, for tests without a cluster."""
    return build(request.param)


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the charts that keeps symbolic links, as in a checkout."""
    return Path(shutil.copytree(CHARTS, tmp_path_factory.mktemp("checkout") / "charts", symlinks=True))
