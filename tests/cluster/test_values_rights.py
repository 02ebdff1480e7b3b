"""Messages of mrc-values when the cluster denies a request, and the permissions that watching a job needs."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from accounts import account, with_token
from every_command import every_command
from preflights import P4D, given
from releases import install
from testcluster.charts import CHARTS
from testcluster.client import Client
from values_tool import command, mrc_values
from watched_job import TRAINING, dashboard, fetched, launcher_log, started


@pytest.fixture(scope="module")
def running(team: Client) -> Client:
    """A user whose job demo runs."""
    install(team, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=1")
    team.running("demo")
    return team


RIGHTS = {
    "mpijobs": "get,list:mpijobs.kubeflow.org",
    "pods": "get,list:pods",
    "events": "list:events",
    "jobs": "get:jobs.batch",
    "deployments": "list:deployments.apps",
    "pods/log": "get:pods/log",
    "pods/portforward": "get,create:pods/portforward",
}
"""All that the commands need of a namespace."""


@pytest.fixture(scope="module")
def lacking(running: Client, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The kubeconfig of an account that may do the above, but for what concerns one resource."""
    directory = tmp_path_factory.mktemp("accounts")

    @cache
    def kubeconfig(resource: str) -> Path:
        rights = [right for of, right in RIGHTS.items() if of != resource]
        return account(running, directory, f"no-{resource.replace('/', '-') or 'lack'}", *rights)

    return kubeconfig


def test_a_user_with_the_documented_rights_can_watch(
    running: Client, lacking: Callable[[str], Path], tmp_path: Path
) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    path = lacking("nothing")
    for arguments in (["status", "demo"], ["wait", "demo", "--for=running"], ["logs", "demo"]):
        done = mrc_values(running, *arguments, f"--kubeconfig={path}")
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("resource", "arguments", "words"),
    [
        ("mpijobs", ["status", "demo"], "you are not allowed to list mpijobs"),
        ("pods", ["status", "demo"], "you are not allowed to list pods"),
        ("events", ["status", "demo"], "you are not allowed to list events"),
        ("jobs", ["status", "demo"], "you are not allowed to get jobs"),
        ("pods/log", ["status", "demo"], "you are not allowed to get pods/log"),
        ("mpijobs", ["wait", "demo"], "you are not allowed to list mpijobs"),
        ("events", ["wait", "demo"], "you are not allowed to list events"),
        ("mpijobs", ["logs", "demo"], "you are not allowed to list mpijobs"),
        ("pods/log", ["logs", "demo"], "you are not allowed to get pods/log"),
        ("pods/log", ["logs", "demo", "-f"], "you are not allowed to get pods/log"),
        ("deployments", ["open", "demo", "tensorboard"], "you are not allowed to list deployments"),
        ("pods", ["open", "demo", "tensorboard"], "you are not allowed to list pods"),
    ],
)
def test_a_missing_permission_is_named_with_exit_code_3(
    running: Client, lacking: Callable[[str], Path], resource: str, arguments: list[str], words: str
) -> None:
    done = mrc_values(running, *arguments, f"--kubeconfig={lacking(resource)}")
    assert done.returncode == 3, done.stderr
    (line,) = (text for text in done.stderr.splitlines() if "(403)" in text)
    assert words in line
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("verb", ["install", "upgrade", "delete", "list"])
def test_a_missing_permission_to_read_helms_secrets_is_exit_code_3(
    running: Client, lacking: Callable[[str], Path], verb: str
) -> None:
    chart = [str(CHARTS / "maskrcnn"), *given(running, P4D)] if verb in ("install", "upgrade") else []
    name = [] if verb == "list" else ["demo"]
    done = mrc_values(running, verb, *name, *chart, f"--kubeconfig={lacking('nothing')}")
    assert (done.returncode, done.stdout) == (3, "")
    assert "secrets is forbidden" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_plan_names_the_missing_permission_to_read_claims(
    running: Client, lacking: Callable[[str], Path]
) -> None:
    flags = ["--node-group=p4d", "--nodes=2", "--fs=auto", f"--kubeconfig={lacking('nothing')}"]
    done = command(running, "plan", str(CHARTS / "maskrcnn"), *flags)
    assert (done.returncode, done.stdout) == (3, "")
    assert "you are not allowed to get persistentvolumeclaims in namespace kubeflow" in done.stderr


def test_open_names_the_missing_permission_to_forward_ports(
    running: Client, lacking: Callable[[str], Path]
) -> None:
    dashboard(running)
    path = lacking("pods/portforward")
    opened = started(running, "open", "demo", "tensorboard", f"--kubeconfig={path}")
    url = (opened.stdout.readline() if opened.stdout else "").strip()
    fetched(url, seconds=60)  # ends when the server has refused
    opened.send_signal(2)
    opened.wait(20)
    stderr = opened.stderr.read() if opened.stderr else ""
    assert "you are not allowed to create pods/portforward" in stderr
    assert stderr.count("Traceback") == 0


def test_a_wrong_token_is_exit_code_3_of_every_command(user: Client, tmp_path: Path) -> None:
    path = with_token(user, tmp_path / "kubeconfig", "nonsense")
    for words, arguments in every_command(user).items():
        done = command(user, *arguments, f"--kubeconfig={path}")
        assert (done.returncode, done.stdout) == (3, ""), words
        (line,) = done.stderr.splitlines()
        assert "rejects the credentials of context test (401). Log in again" in line, words
