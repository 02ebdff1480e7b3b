"""What mrc-values says when the cluster refuses or is away, and the rights that watching a job takes."""

from pathlib import Path

import pytest
import yaml
from proxy import proxied
from releases import install
from testcluster.client import Client
from testcluster.pki import kubeconfig, write_kubeconfig
from values_tool import mrc_values
from watched_job import TRAINING, dashboard, fetched, launcher_log, started


@pytest.fixture
def running(user: Client) -> Client:
    """A user whose job demo runs."""
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=1")
    user.running("demo")
    return user


RIGHTS = [
    {"apiGroups": ["kubeflow.org"], "resources": ["mpijobs"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["list"]},
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]},
    {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["list"]},
    {"apiGroups": [""], "resources": ["pods/log"], "verbs": ["get"]},
    {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
]
"""All that the commands need of a namespace."""


def as_account(user: Client, folder: Path, lacking: str = "") -> Path:
    """The kubeconfig of a service account with the rights above, but for those to one resource."""
    rules = [rule for rule in RIGHTS if rule["resources"] != [lacking]]
    meta = {"name": "watcher", "namespace": user.namespace}
    subject = {"kind": "ServiceAccount", **meta}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "watcher"}
    rbac = "rbac.authorization.k8s.io/v1"
    user.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": rbac, "kind": "Role", "metadata": meta, "rules": rules},
        {"apiVersion": rbac, "kind": "RoleBinding", "metadata": meta, "roleRef": role, "subjects": [subject]},
    )
    token = user.kubectl("create", "token", "watcher").strip()
    return with_token(user, folder, token)


def with_token(user: Client, folder: Path, token: str) -> Path:
    cluster = yaml.safe_load(user.cluster.kubeconfig.read_text())["clusters"][0]["cluster"]
    config = kubeconfig(
        cluster["server"], cluster["certificate-authority-data"], {"token": token}, user.namespace
    )
    write_kubeconfig(folder / "account", config)
    return folder / "account"


def test_a_user_with_the_documented_rights_can_watch(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    path = as_account(running, tmp_path)
    for arguments in (["status", "demo"], ["wait", "demo", "--for=running"], ["logs", "demo"]):
        done = mrc_values(running, *arguments, f"--kubeconfig={path}")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("lacking", "arguments", "words"),
    [
        ("mpijobs", ["status", "demo"], "you may not list mpijobs"),
        ("pods", ["status", "demo"], "you may not list pods"),
        ("events", ["status", "demo"], "you may not list events"),
        ("jobs", ["status", "demo"], "you may not get jobs"),
        ("pods/log", ["status", "demo"], "you may not get pods/log"),
        ("mpijobs", ["wait", "demo"], "you may not list mpijobs"),
        ("events", ["wait", "demo"], "you may not list events"),
        ("mpijobs", ["logs", "demo"], "you may not list mpijobs"),
        ("pods/log", ["logs", "demo"], "you may not get pods/log"),
        ("pods/log", ["logs", "demo", "-f"], "you may not get pods/log"),
        ("deployments", ["open", "demo", "tensorboard"], "you may not list deployments"),
        ("pods", ["open", "demo", "tensorboard"], "you may not list pods"),
    ],
)
def test_a_right_that_lacks_is_named_with_exit_code_3(
    running: Client, tmp_path: Path, lacking: str, arguments: list[str], words: str
) -> None:
    path = as_account(running, tmp_path, lacking)
    done = mrc_values(running, *arguments, f"--kubeconfig={path}")
    assert done.returncode == 3, done.stderr
    (line,) = (each for each in done.stderr.splitlines() if "(403)" in each)
    assert words in line
    assert "Traceback" not in done.stderr


def test_open_names_the_right_to_forward_ports(running: Client, tmp_path: Path) -> None:
    dashboard(running)
    path = as_account(running, tmp_path, "pods/portforward")
    opened = started(running, "open", "demo", "tensorboard", f"--kubeconfig={path}")
    url = (opened.stdout.readline() if opened.stdout else "").strip()
    fetched(url)
    opened.send_signal(2)
    opened.wait(20)
    said = opened.stderr.read() if opened.stderr else ""
    assert "you may not create pods/portforward" in said
    assert said.count("Traceback") == 0


@pytest.mark.parametrize("arguments", [["status"], ["wait"], ["logs"], ["logs", "-f"], ["open"]])
def test_a_wrong_token_is_said_with_exit_code_3(user: Client, tmp_path: Path, arguments: list[str]) -> None:
    path = with_token(user, tmp_path, "nonsense")
    server = ["tensorboard"] if arguments == ["open"] else []
    done = mrc_values(user, arguments[0], "demo", *arguments[1:], *server, f"--kubeconfig={path}")
    assert done.returncode == 3
    assert "does not take the credentials" in done.stderr


@pytest.mark.parametrize("arguments", [["status"], ["wait"], ["logs"], ["open"]])
def test_a_cluster_that_does_not_answer_is_said_with_exit_code_3(
    user: Client, tmp_path: Path, arguments: list[str]
) -> None:
    with proxied(user.cluster.kubeconfig, tmp_path) as (proxy, path):
        proxy.cut()
        server = ["tensorboard"] if arguments == ["open"] else []
        done = mrc_values(user, arguments[0], "demo", *server, f"--kubeconfig={path}")
        proxy.restore()
    assert done.returncode == 3
    assert "cannot be reached" in done.stderr
