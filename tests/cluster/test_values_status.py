"""mrc-values status, wait, logs and open on a running job; kwok answers for its pods' logs and ports."""

import http.server
import json
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml
from proxy import Proxy, proxied
from releases import end_launcher, install
from testcluster.client import Client, Object, until
from testcluster.network import Link
from testcluster.pki import kubeconfig, write_kubeconfig
from values_tool import PROGRAM, TOLERATION, TYPE, add_node, eventually, mrc_values

TRAINING = """\
launch: 2 workers answer after 3 s
[1,0]<stdout>:demo-worker-0:26:26 [0] NCCL INFO NET/OFI Selected Provider is efa (found 4 nics)
[1,8]<stdout>:demo-worker-1:26:26 [0] NCCL INFO Using network AWS Libfabric
[1,0]<stdout>:w:26:27 [0] NCCL INFO Channel 00/0 : 8[0] -> 0[0] [send] via NET/AWS Libfabric/0/GDRDMA
[1,0]<stdout>:progress step=100/3500 epoch=1/18 loss=0.8123 images_per_second=120.3 eta=0:01:20
[1,0]<stdout>:\x1b[32m[1121 13:00:00 @saver.py:82]\x1b[0m Model saved to /efs/kubeflow/demo/model-100.
[1,0]<stdout>:[1121 13:00:00 @monitor.py:471] bbox/AP50: 0.4512
[1,0]<stdout>:progress step=150/3500 epoch=1/18 loss=0.7123 images_per_second=121.5 eta=0:01:10
"""


class PodLog:
    """What a simulated pod prints, as lines of a container runtime's log file that kwok reads."""

    def __init__(self, user: Client, pod: str, container: str, file: Path) -> None:
        self._file = file
        file.touch()
        spec = {"logs": [{"containers": [container], "logsFile": str(file), "follow": True}]}
        meta = {"name": pod, "namespace": user.namespace}
        user.apply({"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "Logs", "metadata": meta, "spec": spec})
        # kwok takes a moment to know it.
        until(lambda: user.kubectl("logs", pod, "--tail=1") is not None, f"a log of {pod}")

    def write(self, text: str) -> None:
        """Prints lines now."""
        with self._file.open("a") as log:
            for line in text.splitlines():
                log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z stdout F {line}\n")


def running_launchers(user: Client) -> list[Object]:
    return [each for each in user.pods("demo", "launcher") if each["status"]["phase"] == "Running"]


def launcher_log(user: Client, folder: Path) -> PodLog:
    (launcher,) = running_launchers(user)
    name = launcher["metadata"]["name"]
    return PodLog(user, name, "launcher", folder / f"{name}.log")


@pytest.fixture
def running(user: Client) -> Client:
    """A user whose job demo runs."""
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=1")
    user.running("demo")
    return user


def test_status_shows_progress_network_and_pods(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    done = mrc_values(running, "status", "demo")
    assert done.returncode == 0, done.stderr
    header, row, *rest = done.stdout.splitlines()
    assert re.sub(" +", " ", header) == "run state ranks step epoch loss images/s ETA checkpoint evaluation"
    expected = "demo running 16/16 150/3500 1/18 0.7123 121.5 0:01:10 model-100 box AP50 0.451"
    assert re.sub(" +", " ", row) == expected
    text = "\n".join(rest)
    assert re.search(r"^demo-worker-1 +Running +yes +0 +p4d-\d$", text, re.MULTILINE)
    assert "network: EFA, 4 interfaces a rank, GPUDirect RDMA" in text
    assert f"folder: /efs/{running.namespace}/demo on the claim tensorpack-efs-gp-bursting" in text


def test_status_as_json_has_the_documented_keys(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    found = json.loads(mrc_values(running, "status", "demo", "--format=json").stdout)
    assert list(found) == [
        *("name", "namespace", "job", "state", "exit_code", "ranks", "ranks_alive", "progress", "checkpoint"),
        *("evaluation", "run_folder", "claim", "log", "network", "network_advice", "reasons", "pods"),
    ]
    assert found["progress"] == {
        **{"step": 150, "steps": 3500, "epoch": 1, "epochs": 18},
        **{"loss": 0.7123, "images_per_second": 121.5, "eta_seconds": 70.0},
    }
    assert found["log"] == "read"
    assert found["network"]["network"] == "efa"
    assert list(found["pods"][0]) == ["name", "role", "state", "ready", "restarts", "node"]
    assert found["pods"][0]["role"] == "launcher"


def test_status_warns_of_tcp_on_nodes_that_have_efa(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write("[1,0]<stdout>:w:26:26 [0] NCCL INFO Using network Socket")
    said = mrc_values(running, "status", "demo").stdout
    assert "network: TCP" in said
    assert "warning: NCCL uses TCP although the workers have EFA" in said


def test_status_says_where_the_log_is_when_its_pod_is_gone(running: Client) -> None:
    end_launcher(running, "demo", 0)
    running.wait("mpijob/demo", "condition=Succeeded")
    running.kubectl("delete", "pods", "--selector=training.kubeflow.org/job-role=launcher")
    said = mrc_values(running, "status", "demo").stdout
    assert re.search(r"^demo +finished +0/16$", said, re.MULTILINE)
    assert "(the launcher's log is there too)" in said


def test_what_launch_says_of_ssh_is_a_reason(running: Client, tmp_path: Path) -> None:
    said = "launch: demo-worker-1.demo does not answer ssh after 600 s: Connection refused"
    launcher_log(running, tmp_path).write(said)
    assert "the worker demo-worker-1.demo did not answer ssh within 600 s: Connection refused" in (
        mrc_values(running, "status", "demo").stdout
    )


def test_a_job_that_is_not_there_is_said_in_one_line(user: Client) -> None:
    done = mrc_values(user, "status", "nothing")
    assert done.returncode == 1
    assert done.stderr.startswith(f"mrc-values: no training job nothing in the namespace {user.namespace}.")


def test_wait_tells_reasons_as_they_change_and_ends_when_the_job_runs(user: Client) -> None:
    name = f"late-{user.namespace}"
    install(user, "demo", "maskrcnn", "maskrcnn.gpus=8", f"{TYPE}={name}", TOLERATION)
    waiting = started(user, "wait", "demo", "--for=running", "--timeout=60")
    lines = iter(waiting.stdout or ())
    assert next(lines) == "waiting, 0 of 1 workers ready\n"
    assert next(lines).startswith("  demo-worker-0: no node has the label")
    add_node(user, name, ready=True, simulated=True)
    try:
        assert waiting.wait(60) == 0
        assert list(lines)[-1].startswith("running, ")
    finally:
        user.kubectl("delete", "node", name)


def test_wait_ends_with_1_when_the_job_fails(running: Client) -> None:
    for _ in range(2):
        until(lambda: len(running_launchers(running)) == 1, "a launcher")
        end_launcher(running, "demo", 1)
        until(lambda: not running_launchers(running), "its end")
    done = mrc_values(running, "wait", "demo", "--timeout=60")
    assert done.returncode == 1
    assert "failed\n  the launcher has failed 2 times, maskrcnn.backoff_limit is 1." in done.stdout


def test_a_failed_job_is_told_with_the_error_of_its_log(user: Client, tmp_path: Path) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=0")
    user.running("demo")
    launcher_log(user, tmp_path).write("[1,3]<stderr>:KeyError: 'category_id'\nmpirun: a rank has ended")
    end_launcher(user, "demo", 1)
    user.wait("mpijob/demo", "condition=Failed")
    said = mrc_values(user, "status", "demo").stdout
    assert re.search(r"^demo +failed \(1\)", said, re.MULTILINE)
    assert "maskrcnn.backoff_limit is 0; it said: KeyError: 'category_id'." in said


def test_wait_ends_with_1_when_its_time_is_over(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.memory=2000Gi")
    done = mrc_values(user, "wait", "demo", "--timeout=3")
    assert done.returncode == 1
    assert "demo: not finished after 3 s: waiting, 0 of 2 workers ready." in done.stderr


def test_wait_goes_on_while_the_api_server_is_away(running: Client, tmp_path: Path) -> None:
    with proxied(running.cluster.kubeconfig, tmp_path) as (proxy, path):
        waiting = started(running, "wait", "demo", "--timeout=90", f"--kubeconfig={path}")
        lines = iter(waiting.stdout or ())
        assert next(lines).startswith("running, 2 of 2")
        proxy.cut()
        assert next(lines).endswith("Waiting for it.\n")
        proxy.restore()
        assert next(lines).startswith("running, 2 of 2")
        end_launcher(running, "demo", 0)
        assert waiting.wait(60) == 0
        assert list(lines)[-1] == "finished\n"


def test_logs_are_followed_over_a_cut_and_a_second_launcher(running: Client, tmp_path: Path) -> None:
    log = launcher_log(running, tmp_path)
    log.write("one")
    with proxied(running.cluster.kubeconfig, tmp_path) as (proxy, path):
        following = started(running, "logs", "demo", "-f", f"--kubeconfig={path}")
        lines = iter(following.stdout or ())
        assert next(lines) == "one\n"
        log.write("two")
        assert next(lines) == "two\n"
        cut_for(proxy, 2)
        log.write("three")
        assert next(lines) == "three\n", "nothing twice, nothing left out"
        end_launcher(running, "demo", 1)
        until(lambda: not running_launchers(running), "its end")
        until(lambda: len(running_launchers(running)) == 1, "the second launcher")
        launcher_log(running, tmp_path).write("four")
        assert next(lines) == "four\n"
        end_launcher(running, "demo", 0)
        assert following.wait(60) == 0
        assert list(lines) == []
    assert "starts, after one that failed" in (following.stderr.read() if following.stderr else "")


def cut_for(proxy: Proxy, seconds: float) -> None:
    proxy.cut()
    time.sleep(seconds)
    proxy.restore()


def test_logs_of_workers_carry_their_pods(running: Client, tmp_path: Path) -> None:
    for number in (0, 1):
        PodLog(running, f"demo-worker-{number}", "worker", tmp_path / str(number)).write(f"sshd {number}")
    said = mrc_values(running, "logs", "demo", "--workers").stdout
    assert said == "demo-worker-0 | sshd 0\ndemo-worker-1 | sshd 1\n"


def test_logs_of_one_rank_are_its_lines_without_the_tag(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    said = mrc_values(running, "logs", "demo", "--rank=8")
    assert said.stdout == "demo-worker-1:26:26 [0] NCCL INFO Using network AWS Libfabric\n"
    assert "network: EFA" in said.stderr


def test_logs_before_there_are_any_say_why(user: Client) -> None:
    install(user, "demo", "maskrcnn", "maskrcnn.node_group=p4d", "maskrcnn.memory=2000Gi")
    done = mrc_values(user, "logs", "demo")
    assert done.returncode == 1
    assert done.stderr.startswith("mrc-values: demo: no launcher has started; -f waits for it.")


@contextmanager
def page(user: Client, text: str, pod: str) -> Iterator[None]:
    """A web page of the host's, to which kwok leads the ports of a pod."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            # What a forwarded port carries has no end of its own.
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    state = json.loads((user.cluster.folder / "state.json").read_text())
    address = Link(int(state["link"].removeprefix("mrc"))).host
    server = http.server.ThreadingHTTPServer((address, 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    target = {"address": address, "port": server.server_address[1]}
    meta = {"name": pod, "namespace": user.namespace}
    spec = {"forwards": [{"target": target}]}
    user.apply(
        {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": "PortForward", "metadata": meta, "spec": spec}
    )
    yield
    server.shutdown()
    server.server_close()


def dashboard(user: Client) -> str:
    user.kubectl("rollout", "status", "deployment/demo-tensorboard", "--timeout=60s")
    (pod,) = (
        each
        for each in user.objects("pods", **{"app.kubernetes.io/component": "dashboard"})
        if "deletionTimestamp" not in each["metadata"]
    )
    return str(pod["metadata"]["name"])


def fetched(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            text: str = answer.read().decode()
            return text
    except OSError as error:
        return str(error)


def test_open_leads_to_the_pod_and_to_the_one_that_replaces_it(running: Client) -> None:
    first = dashboard(running)
    with page(running, "first", first):
        opened = started(running, "open", "demo", "tensorboard")
        url = (opened.stdout.readline() if opened.stdout else "").strip()
        assert url.startswith("http://127.0.0.1:")
        eventually(lambda: fetched(url) == "first", "the page of the first pod")
    running.kubectl("delete", "pod", first)
    second = dashboard(running)
    assert second != first
    with page(running, "second", second):
        eventually(lambda: fetched(url) == "second", "the page of the second pod")
    opened.send_signal(2)
    assert opened.wait(20) == 0


def test_open_prints_no_token_where_nobody_looks(user: Client) -> None:
    install(
        user,
        "demo",
        "maskrcnn",
        "maskrcnn.node_group=p4d",
        "jupyter.enabled=true",
        "jupyter.image=notebook:1",
    )
    user.kubectl("rollout", "status", "deployment/demo-jupyter", "--timeout=60s")
    opened = started(user, "open", "demo", "jupyter")
    url = (opened.stdout.readline() if opened.stdout else "").strip()
    opened.send_signal(2)
    opened.wait(20)
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+/", url)
    assert "kubectl get secret" in (opened.stderr.read() if opened.stderr else "")


def test_open_of_what_a_release_does_not_have_says_what_to_set(running: Client) -> None:
    done = mrc_values(running, "open", "demo", "jupyter")
    assert done.returncode == 1
    assert "it has no jupyter" in done.stderr
    assert "Set jupyter.enabled and jupyter.image, and upgrade" in done.stderr


def test_open_of_a_server_that_is_not_ready_says_why(user: Client) -> None:
    values = ("maskrcnn.node_group=p4d", "tensorboard.resources.requests.cpu=100")
    install(user, "demo", "maskrcnn", *values)
    until(lambda: "Insufficient cpu" in user.kubectl("get", "pods", "--output=json"), "a waiting pod")
    done = mrc_values(user, "open", "demo", "tensorboard")
    assert done.returncode == 1
    assert "demo-tensorboard" in done.stderr
    assert "100 cpu" in done.stderr


def started(user: Client, *arguments: str) -> "subprocess.Popen[str]":
    """The program, which goes on."""
    return subprocess.Popen(
        [str(PROGRAM), *arguments, f"--namespace={user.namespace}"],
        env=user.cluster.environment | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


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
