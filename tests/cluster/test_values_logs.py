"""mrc-values logs and open for a running job; kwok serves the logs and ports of its pods."""

import http.server
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy import Proxy, proxied
from releases import end_launcher, install
from testcluster.client import Client, until
from testcluster.network import Link
from values_tool import eventually, mrc_values, submit
from watched_job import TRAINING, PodLog, dashboard, fetched, launcher_log, running_launchers, started


def test_logs_are_followed_across_an_interrupted_connection_and_a_second_launcher(
    running: Client, tmp_path: Path
) -> None:
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


def test_log_lines_of_workers_start_with_their_pods(running: Client, tmp_path: Path) -> None:
    for number in (0, 1):
        PodLog(running, f"demo-worker-{number}", "worker", tmp_path / str(number)).write(f"sshd {number}")
    output = mrc_values(running, "logs", "demo", "--workers").stdout
    assert output == "demo-worker-0 | sshd 0\ndemo-worker-1 | sshd 1\n"


def test_logs_of_one_rank_are_its_lines_without_the_tag(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    done = mrc_values(running, "logs", "demo", "--rank=8")
    assert done.stdout == "demo-worker-1:26:26 [0] NCCL INFO Using network AWS Libfabric\n"
    assert "network: EFA" in done.stderr


def test_logs_before_the_launcher_starts_explain_why_it_has_not(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.memory=2000Gi")
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

    state = json.loads((user.cluster.directory / "state.json").read_text())
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


def test_open_forwards_to_the_pod_and_to_its_replacement(user: Client) -> None:
    install(user, "demo", "tensorboard")
    first = dashboard(user)
    with page(user, "first", first):
        opened = started(user, "open", "demo", "tensorboard")
        url = (opened.stdout.readline() if opened.stdout else "").strip()
        assert url.startswith("http://127.0.0.1:")
        eventually(lambda: fetched(url) == "first", "the page of the first pod")
    user.kubectl("delete", "pod", first)
    second = dashboard(user)
    assert second != first
    with page(user, "second", second):
        eventually(lambda: fetched(url) == "second", "the page of the second pod")
    opened.send_signal(2)
    assert opened.wait(20) == 0


def test_open_prints_no_token_unless_on_a_terminal(user: Client) -> None:
    install(user, "demo", "jupyter")
    user.kubectl("rollout", "status", "deployment/demo-jupyter", "--timeout=60s")
    opened = started(user, "open", "demo", "jupyter")
    url = (opened.stdout.readline() if opened.stdout else "").strip()
    opened.send_signal(2)
    opened.wait(20)
    assert re.fullmatch(r"https://127\.0\.0\.1:\d+/", url)
    assert "kubectl get secret" in (opened.stderr.read() if opened.stderr else "")


def test_open_of_a_server_that_a_release_lacks_says_what_to_set(running: Client) -> None:
    done = mrc_values(running, "open", "demo", "jupyter")
    assert done.returncode == 1
    assert "it has no jupyter" in done.stderr
    assert "Set jupyter.enabled and jupyter.image, and upgrade" in done.stderr


def test_open_of_a_server_that_is_not_ready_explains_why(user: Client) -> None:
    install(user, "demo", "tensorboard", "resources.requests.cpu=100")
    until(lambda: "Insufficient cpu" in user.kubectl("get", "pods", "--output=json"), "a waiting pod")
    done = mrc_values(user, "open", "demo", "tensorboard")
    assert done.returncode == 1
    assert "demo-tensorboard" in done.stderr
    assert "100 cpu" in done.stderr
