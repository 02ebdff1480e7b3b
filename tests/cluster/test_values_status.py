"""mrc-values status and wait for a job; kwok serves the logs of its pods."""

import json
import re
from pathlib import Path

from proxy import proxied
from releases import end_launcher
from testcluster.client import Client, until
from values_tool import TOLERATION, TYPE, add_node, mrc_values, submit
from watched_job import TRAINING, launcher_log, running_launchers, started


def test_status_shows_progress_network_and_pods(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    done = mrc_values(running, "status", "demo")
    assert done.returncode == 0, done.stderr
    header, row, *rest = done.stdout.splitlines()
    assert re.sub(" +", " ", header) == "run state ranks step epoch loss images/s ETA checkpoint evaluation"
    expected = (
        "demo running 16/16 150/3500 1/18 0.7123 121.5 0:01:10 model-100 box AP50 0.451 mask AP50 0.407"
    )
    assert re.sub(" +", " ", row) == expected
    text = "\n".join(rest)
    assert re.search(r"^demo-worker-1 +Running +yes +0 +p4d-\d$", text, re.MULTILINE)
    assert "network: EFA, 4 interfaces per rank, GPUDirect RDMA" in text
    assert f"run directory: /efs/{running.namespace}/demo on the claim tensorpack-efs-gp-bursting" in text


def test_status_as_json_has_the_documented_keys(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write(TRAINING)
    status = json.loads(mrc_values(running, "status", "demo", "--format=json").stdout)
    assert list(status) == [
        *("name", "namespace", "job", "state", "exit_code", "ranks", "ranks_alive", "progress", "checkpoint"),
        *("evaluation", "failed_evaluation", "run_dir", "claim", "seconds_since_step"),
        *("log", "network", "network_advice", "ignored_change", "reasons", "pods"),
    ]
    assert status["progress"] == {
        **{"step": 150, "steps": 3500, "epoch": 1, "epochs": 18},
        **{"loss": 0.7123, "images_per_second": 121.5, "eta_seconds": 70.0},
    }
    assert status["log"] == "read"
    assert 0 <= status["seconds_since_step"] < 60
    assert status["network"]["network"] == "efa"
    assert list(status["pods"][0]) == ["name", "role", "state", "ready", "restarts", "node"]
    assert status["pods"][0]["role"] == "launcher"


def test_status_warns_of_tcp_on_nodes_that_have_efa(running: Client, tmp_path: Path) -> None:
    launcher_log(running, tmp_path).write("[1,0]<stdout>:w:26:26 [0] NCCL INFO Using network Socket")
    output = mrc_values(running, "status", "demo").stdout
    assert "network: TCP" in output
    assert "warning: NCCL uses TCP although the workers have EFA" in output


def test_status_shows_where_the_log_is_when_its_pod_is_gone(running: Client) -> None:
    end_launcher(running, "demo", 0)
    running.wait("mpijob/demo", "condition=Succeeded")
    running.kubectl("delete", "pods", "--selector=training.kubeflow.org/job-role=launcher")
    output = mrc_values(running, "status", "demo").stdout
    assert re.search(r"^demo +finished +0/16$", output, re.MULTILINE)
    assert "(also has the launcher's log)" in output


def test_an_ssh_error_of_the_launch_command_is_a_reason(running: Client, tmp_path: Path) -> None:
    message = "launch: demo-worker-1.demo does not answer ssh after 600 s: Connection refused"
    launcher_log(running, tmp_path).write(message)
    assert "the worker demo-worker-1.demo did not answer ssh within 600 s: Connection refused" in (
        mrc_values(running, "status", "demo").stdout
    )


def test_a_job_that_does_not_exist_is_a_one_line_error(user: Client) -> None:
    done = mrc_values(user, "status", "nothing")
    assert done.returncode == 1
    assert done.stderr.startswith(f"mrc-values: no training job nothing in the namespace {user.namespace}.")


def test_wait_prints_reasons_as_they_change_and_ends_when_the_job_is_running(user: Client) -> None:
    name = f"late-{user.namespace}"
    submit(user, "demo", "maskrcnn.gpus=8", f"{TYPE}={name}", TOLERATION)
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


def test_a_failed_job_is_shown_with_the_error_in_its_log(user: Client, tmp_path: Path) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.backoff_limit=0")
    user.running("demo")
    launcher_log(user, tmp_path).write("[1,3]<stderr>:KeyError: 'category_id'\nmpirun: a rank has ended")
    end_launcher(user, "demo", 1)
    user.wait("mpijob/demo", "condition=Failed")
    output = mrc_values(user, "status", "demo").stdout
    assert re.search(r"^demo +failed \(1\)", output, re.MULTILINE)
    assert "maskrcnn.backoff_limit is 0; its error: KeyError: 'category_id'." in output


def test_wait_ends_with_1_when_its_timeout_expires(user: Client) -> None:
    submit(user, "demo", "maskrcnn.node_group=p4d", "maskrcnn.memory=2000Gi")
    done = mrc_values(user, "wait", "demo", "--timeout=3")
    assert done.returncode == 1
    assert "demo: not finished after 3 s: waiting, 0 of 2 workers ready." in done.stderr


def test_wait_survives_an_outage_of_the_api_server(running: Client, tmp_path: Path) -> None:
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
