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
"""How a test is called, and the program in the cluster's bin folder."""

AT_ONCE = 10
"""So many namespaces are made at a time."""


def pytest_sessionstart() -> None:
    """One line instead of as many errors as there are tests."""
    try:
        check_host()
    except ClusterError as error:
        pytest.exit(f"error: {error}", returncode=1)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A control plane of the tests' own."""
    with ready_cluster(tmp_path_factory.mktemp("cluster"), DEFAULT) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def node_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose pods are processes, of the tests' own; or the running one in MRC_TEST_CLUSTER."""
    if folder := os.environ.get("MRC_TEST_CLUSTER"):
        cluster = Cluster(Path(folder).absolute())
        if not (cluster.running and cluster.has_real_node):
            raise ClusterError(f"MRC_TEST_CLUSTER: no cluster with a real node runs in {cluster.folder}.")
        yield cluster
        return
    with ready_cluster(tmp_path_factory.mktemp("node-cluster"), {}) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def new_node_user(node_cluster: Cluster) -> Iterator[Callable[[], Client]]:
    """Makes users of the real node, each with a namespace that has the claims; the first draws the data."""
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
    for user in made:
        volumes = [f"{user.namespace}-{claim['metadata']['name']}" for claim in user.objects("pvc")]
        user.kubectl("delete", "namespace", user.namespace)
        if volumes:
            user.kubectl("delete", "pv", *volumes)
        shutil.rmtree(node_cluster.volumes / "efs" / user.namespace, ignore_errors=True)


@pytest.fixture(scope="session")
def namespaces(cluster: Cluster) -> Iterator[str]:
    """Empty namespaces with the charts' claims, made several at a time, which takes as long as one."""

    def make() -> Iterator[str]:
        for first in count(step=AT_ONCE):
            names = [f"test-{number}" for number in range(first, first + AT_ONCE)]
            metas: list[Object] = [{"name": name} for name in names]
            Client(cluster, "default").apply(
                *({"apiVersion": "v1", "kind": "Namespace", "metadata": meta} for meta in metas)
            )
            make_claims(cluster, *names)
            yield from names

    return make()


@pytest.fixture
def new_client(cluster: Cluster, namespaces: Iterator[str]) -> Iterator[Callable[[], Client]]:
    """Makes users, each with an empty namespace that has the charts' claims."""
    made: list[Client] = []

    def make() -> Client:
        made.append(Client(cluster, next(namespaces)))
        return made[-1]

    yield make
    for client in made:
        client.delete_all()


@pytest.fixture(scope="module")
def team(cluster: Cluster, namespaces: Iterator[str]) -> Iterator[Client]:
    """A user whose namespace, which has the charts' claims, is shared by the tests of a module."""
    client = Client(cluster, next(namespaces))
    yield client
    client.delete_all()


@pytest.fixture
def user(new_client: Callable[[], Client]) -> Client:
    """A user with Helm 4 and an empty namespace that has the charts' claims."""
    return new_client()


@pytest.fixture
def running(user: Client) -> Client:
    """A user whose job demo runs."""
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=1")
    user.running("demo")
    return user


@pytest.fixture(params=HELMS)
def helm(request: pytest.FixtureRequest) -> str:
    """Helm 4 and Helm 3, as a program of Client."""
    return HELMS[request.param]


@pytest.fixture(scope="session", params=HELMS)
def helm_program(request: pytest.FixtureRequest) -> Path:
    """Helm 4 and Helm 3, for what needs no cluster."""
    return build(request.param)


@pytest.fixture(scope="session")
def charts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The charts as a plain checkout has them, links as links."""
    return Path(shutil.copytree(CHARTS, tmp_path_factory.mktemp("checkout") / "charts", symlinks=True))
