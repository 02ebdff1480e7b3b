"""mrc-values install, upgrade, delete and list: the program, with the user's Helm, on simulated nodes."""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from preflights import P4D, given, program
from releases import end_launcher, install
from testcluster.charts import CHARTS
from testcluster.client import Client, until
from values_tool import PROGRAM, submit

CHART = CHARTS / "maskrcnn"
P3DN = "maskrcnn.node_group=p3dn"
RUNNING = "running, 2 of 2 workers ready\n"


@pytest.fixture(scope="module")
def live(team: Client) -> Client:
    """A user whose release demo is on nodes that no other test here wants. For what changes nothing."""
    install(team, "demo", "maskrcnn", P3DN)
    return team


def release_names(user: Client) -> list[str]:
    return [release["name"] for release in json.loads(user.helm("list", "--output=json"))]


def steps(user: Client, job: str) -> list[str]:
    spec = user.get("mpijob", job)["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]
    return [word for word in spec["containers"][0]["args"] if word.startswith("TRAIN.STEPS_PER_EPOCH=")]


@pytest.mark.parametrize("group", ["p4d", "g5"])
def test_an_install_makes_an_ordinary_release_whose_job_runs(
    user: Client, helm: str, group: str, tmp_path: Path
) -> None:
    (tmp_path / "helm").symlink_to(user.cluster.bin / helm)
    path = f"{tmp_path}:{user.cluster.environment['PATH']}"
    done = program(user, "install", "demo", CHART, *given(user, f"maskrcnn.node_group={group}"), PATH=path)
    assert done.returncode == 0, done.stderr
    assert "STATUS: deployed" in done.stdout
    assert done.stderr == "", "no notices about linked sub-charts"
    assert release_names(user) == ["demo"]
    user.running("demo")


def test_a_dry_run_shows_the_changes_and_makes_none(user: Client) -> None:
    before = user.names("all,secret,configmap,mpijob")
    done = program(user, "install", "demo", CHART, "--dry-run", *given(user, P4D))
    assert done.stdout.splitlines() == [
        f"+ Deployment {user.namespace}/demo-tensorboard is added",
        f"+ MPIJob {user.namespace}/demo is added",
        f"+ Service {user.namespace}/demo-tensorboard is added",
    ]
    assert (done.returncode, done.stderr) == (0, "demo: nothing was changed (--dry-run).\n")
    assert user.names("all,secret,configmap,mpijob") == before


def test_an_error_in_the_values_stops_before_the_preflight(user: Client) -> None:
    done = program(user, "install", "demo", CHART, *given(user, P4D, "maskrcnn.gpus=20"))
    assert done.returncode == 1
    assert done.stdout.startswith(
        "--set maskrcnn.gpus=20: error MRC014 maskrcnn.gpus: 20 is not a multiple of 8"
    )
    assert done.stderr == "mrc-values: 1 error. Nothing was changed.\n"


def test_an_error_of_the_preflight_stops_before_helm(user: Client) -> None:
    done = program(user, "install", "demo", CHART, *given(user, P4D, "global.shared_pvc=mine"))
    assert done.returncode == 1
    assert done.stdout.startswith(
        "--set global.shared_pvc=mine: error MRC110 global.shared_pvc: the claim mine does not"
    )
    assert release_names(user) == []


def test_a_warning_is_printed_and_does_not_stop_the_install(user: Client) -> None:
    install(user, "other", "maskrcnn", P4D, "maskrcnn.gpus=32", "tensorboard.enabled=false")
    user.running("other")
    done = program(user, "install", "demo", CHART, *given(user, P4D))
    assert done.returncode == 0
    assert "warning MRC123 maskrcnn.node_group: there is room for 0 of 2 workers now" in done.stderr
    assert release_names(user) == ["demo", "other"]


@pytest.mark.parametrize("group", ["p4d", "g5"])
def test_a_release_from_its_install_to_its_deletion(user: Client, group: str) -> None:
    def told(*arguments: str | Path) -> str:
        done = program(user, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    node_group, namespace = f"maskrcnn.node_group={group}", f"--namespace={user.namespace}"
    assert told("install", "demo", CHART, "--wait", *given(user, node_group)).endswith(RUNNING)
    told("upgrade", "demo", CHART, "--end-run=demo", *given(user, node_group, "maskrcnn.run=b"))
    assert told("wait", "demo", "--for=running", namespace).endswith(RUNNING)
    state, _, pods = told("status", "demo", namespace).partition("\n\n")
    assert state.splitlines()[1].split() == ["demo", "running", "16/16"]
    assert [line.split()[0] for line in pods.splitlines() if f" {group}-" in line] == [
        *("demo-b-worker-0", "demo-b-worker-1")
    ]
    end_launcher(user, "demo-b", 0)
    assert told("wait", "demo", namespace).endswith("finished\n")
    told("delete", "demo", namespace)
    until(lambda: not user.names("mpijobs,jobs,deployments,services,pods"), "the end of all it had")


def test_ctrl_c_ends_a_wait_with_130_and_leaves_the_release(user: Client) -> None:
    install(user, "other", "maskrcnn", P4D, "maskrcnn.gpus=32", "tensorboard.enabled=false")
    user.running("other")
    argv = [str(PROGRAM), "install", "demo", str(CHART), "--wait", *given(user, P4D)]
    with subprocess.Popen(
        argv, env=user.cluster.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout and process.stderr
        # Helm's words, and after them the first of what the job waits for.
        while "waiting" not in process.stdout.readline():
            assert process.poll() is None, process.stderr.read()
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 130
        assert "Traceback" not in process.stderr.read()
    assert release_names(user) == ["demo", "other"]


def test_an_install_of_an_existing_release_says_what_to_do(live: Client) -> None:
    done = program(live, "install", "demo", CHART, *given(live, P3DN))
    assert (done.returncode, done.stderr) == (
        1,
        f"mrc-values: demo: the release already exists in namespace {live.namespace} (deployed, "
        "revision 1). Use mrc-values upgrade, or first: mrc-values delete demo --namespace "
        f"{live.namespace}\n",
    )


def test_an_upgrade_needs_a_release(live: Client) -> None:
    done = program(live, "upgrade", "dem", CHART, *given(live, P3DN))
    assert (done.returncode, done.stderr) == (
        1,
        f"mrc-values: dem: release not found in the namespace {live.namespace}. "
        "Existing releases: demo. "
        "Use mrc-values install.\n",
    )


def test_changed_settings_of_a_live_run_are_rejected_and_change_nothing(live: Client) -> None:
    done = program(live, "upgrade", "demo", CHART, *given(live, P3DN, "maskrcnn.steps_per_epoch=100"))
    assert done.returncode == 1
    assert "error MRC106 maskrcnn.run: the run" in done.stdout
    assert steps(live, "demo") == ["TRAIN.STEPS_PER_EPOCH=7500"]
    assert json.loads(live.helm("list", "--output=json"))[0]["revision"] == "1"


def test_a_new_run_is_installed_after_a_diff_of_the_two_runs(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    values = (P4D, "maskrcnn.steps_per_epoch=100", "maskrcnn.run=b")
    done = program(user, "upgrade", "demo", CHART, "--end-run=demo", *given(user, *values))
    assert done.returncode == 0, done.stderr
    assert f"--- live: MPIJob {user.namespace}/demo\n+++ new: MPIJob {user.namespace}/demo-b\n" in done.stderr
    assert (
        "-            - TRAIN.STEPS_PER_EPOCH=7500\n+            - TRAIN.STEPS_PER_EPOCH=100\n" in done.stderr
    )
    assert steps(user, "demo-b") == ["TRAIN.STEPS_PER_EPOCH=100"]


def test_an_upgrade_to_the_same_values_reports_no_changes(live: Client) -> None:
    done = program(live, "upgrade", "demo", CHART, "--dry-run", *given(live, P3DN))
    assert (done.returncode, done.stdout) == (0, "no changes.\n")


def test_an_upgrade_uses_only_the_given_values(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D, "tensorboard.port=8080")
    done = program(user, "upgrade", "demo", CHART, *given(user, P4D))
    assert done.returncode == 0, done.stderr
    assert user.get("service", "demo-tensorboard")["spec"]["ports"][0]["port"] == 80


def test_the_content_of_a_secret_is_never_shown(user: Client) -> None:
    server = ("jupyter.enabled=true", "jupyter.image=notebook:1")
    install(user, "demo", "maskrcnn", P4D, *server)
    secrets = [
        secret for secret in user.objects("secrets") if secret["metadata"]["name"].startswith("demo-jupyter")
    ]
    assert secrets
    done = program(user, "upgrade", "demo", CHART, *given(user, P4D, *server, "jupyter.port=8443"))
    assert done.returncode == 0, done.stderr
    for secret in secrets:
        for content in secret["data"].values():
            assert content not in done.stdout + done.stderr


def test_delete_lists_what_is_kept_and_installing_again_uses_it(user: Client) -> None:
    install(user, "demo", "maskrcnn", P4D)
    claims = user.names("pvc")
    done = program(user, "delete", "demo", f"--namespace={user.namespace}")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == [
        f"kept: the run of demo: logs and checkpoints in /efs/{user.namespace}/demo, "
        "claim tensorpack-efs-gp-bursting",
        f"kept: the claim tensorpack-efs-gp-bursting in {user.namespace}, with all its data",
        f"kept: the namespace {user.namespace}",
        "mrc-values install with the same values resumes from the newest checkpoint.",
    ]
    assert user.names("pvc") == claims
    assert release_names(user) == []
    again = program(user, "install", "demo", CHART, *given(user, P4D))
    assert again.returncode == 0, again.stderr


def test_a_release_that_does_not_exist_cannot_be_deleted(user: Client) -> None:
    done = program(user, "delete", "demo", f"--namespace={user.namespace}")
    assert (done.returncode, done.stderr) == (
        1,
        f"mrc-values: demo: release not found in the namespace {user.namespace}. Existing releases: none.\n",
    )


def test_list_shows_the_releases_of_all_namespaces_with_their_jobs(new_client: Callable[[], Client]) -> None:
    one, two = new_client(), new_client()
    install(one, "demo", "maskrcnn", P4D)
    install(two, "board", "tensorboard")
    submit(two, "applied", "maskrcnn.node_group=g5")
    one.running("demo")
    two.running("applied")
    rows = json.loads(program(one, "list", "--format=json").stdout)
    shown = [(row["release"], row["namespace"], row["job"], row["state"]) for row in rows]
    assert ("demo", one.namespace, f"{one.namespace}/demo", "running") in shown
    assert ("board", two.namespace, "", "") in shown
    assert ("mpijob", "default", "", "") in shown
    assert ("", two.namespace, f"{two.namespace}/applied", "running") in shown
    of_one = json.loads(program(one, "list", "--format=json", f"--namespace={one.namespace}").stdout)
    assert [row["release"] for row in of_one] == ["demo"]


# What can be wrong with the way to the cluster


def test_an_unreachable_cluster_is_a_one_line_error_with_exit_code_3(user: Client, tmp_path: Path) -> None:
    config = json.loads(user.kubectl("config", "view", "--raw", "--output=json"))
    config["clusters"][0]["cluster"]["server"] = "https://127.0.0.1:1"
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(config))
    done = program(user, "list", KUBECONFIG=str(file))
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == (
        "mrc-values: https://127.0.0.1:1: cannot be reached (Connection refused). Check the network or "
        f"VPN, and that context {config['current-context']} names the right cluster.\n"
    )


def test_a_missing_or_old_helm_is_named(user: Client, tmp_path: Path) -> None:
    alone = program(user, "list", PATH=str(tmp_path))
    assert (alone.returncode, alone.stderr) == (
        1,
        "mrc-values: helm: not found in PATH. Install Helm 3.18 or newer: https://helm.sh/docs/intro/install/\n",
    )
    (tmp_path / "helm").write_text("#!/bin/sh\necho v3.12.3\n")
    (tmp_path / "helm").chmod(0o755)
    old = program(user, "list", PATH=str(tmp_path))
    assert (old.returncode, old.stderr.split(" Install")[0]) == (
        1,
        f"mrc-values: {tmp_path}/helm: Helm v3.12.3 is too old.",
    )
