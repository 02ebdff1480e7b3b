"""files/launch.sh, run by real bash with stand-ins for ssh and mpirun."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from maskrcnn_chart import CHART

SCRIPT = CHART / "files" / "launch.sh"

# Answers for hosts whose name starts with "up", and for "late" at the third attempt.
SSH = """#!/bin/bash
echo "$(printf '[%s]' "$@")" >>"$LOGS/ssh"
host=${*: -2:1}
case $host in
  up*) exit 0 ;;
  late) [[ $(grep -c late "$LOGS/ssh") -ge 3 ]] && exit 0 ;;
esac
echo "Warning: something else" >&2
echo "ssh: connect to host $host port 22: Connection refused" >&2
exit 255
"""
MPIRUN = """#!/bin/bash
printf '%s\\n' "$@" >"$LOGS/mpirun"
echo "$LD_LIBRARY_PATH" >"$LOGS/library-path"
exit 7
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    directory = tmp_path / "logs"
    directory.mkdir()
    return directory


@pytest.fixture
def start(tmp_path: Path, logs: Path) -> Start:
    """``start(hosts, *command, **env)``: the script as Kubernetes starts it, with the file system ``fs``."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("ssh", SSH), ("mpirun", MPIRUN)):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)

    def started(hosts: list[str], *command: str, **env: str) -> "subprocess.Popen[str]":
        hostfile = tmp_path / "hostfile"
        hostfile.write_text("".join(f"{host} slots=8\n" for host in hosts))
        environment = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "LOGS": str(logs),
            "SHARED_FS": str(tmp_path / "fs"),
            "RUN_DIR": str(tmp_path / "fs" / "kubeflow" / "demo"),
            "SSH_OPTIONS": "-p 2222 -o LogLevel=ERROR",
            "OMPI_MCA_orte_default_hostfile": str(hostfile),
            "LAUNCH_TIMEOUT": "20",
        }
        return subprocess.Popen(
            ["/bin/bash", "-c", SCRIPT.read_text(), "launch", *(command or ("mpirun",))],
            env={**environment, **env},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return started


def finish(process: "subprocess.Popen[str]") -> tuple[int, str]:
    """Exit code and output."""
    out, err = process.communicate(timeout=30)
    return process.returncode, out + err


def test_the_command_runs_with_unchanged_arguments_and_its_exit_code_is_returned(
    start: Start, logs: Path
) -> None:
    words = ["-np", "2", "--config", 'DATA.TRAIN=["a b"]', "X=(1, 2)", "*", ""]
    code, _ = finish(start(["up-0", "up-1"], "mpirun", *words))
    assert code == 7
    assert (logs / "mpirun").read_text().split("\n")[:-1] == words


def test_mpirun_is_called_by_its_full_path_so_that_it_finds_its_daemon_on_the_workers(
    start: Start, tmp_path: Path
) -> None:
    mpirun = tmp_path / "bin" / "mpirun"
    mpirun.unlink()
    mpirun.symlink_to("/bin/bash")  # which tells the name that it was called by
    _, output = finish(start([], "mpirun", "-c", "echo called as $0"))
    assert f"called as {mpirun}\n" in output


def test_it_prints_what_it_runs(start: Start) -> None:
    _, output = finish(start(["up-0"], "mpirun", "-np", "2", "a b"))
    assert "launch: 1 workers answer" in output
    assert "/mpirun -np 2 a\\ b" in output


def test_the_host_key_of_the_workers_is_the_key_of_the_job(start: Start, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "id_rsa.pub").write_text("ecdsa-sha2-nistp521 AAAA\n")
    known = tmp_path / "known_hosts"
    options = f"-p 22 -i {tmp_path}/id_rsa -o StrictHostKeyChecking=yes -o UserKnownHostsFile={known}"
    finish(start(["up-0"], SSH_OPTIONS=options))
    assert known.read_text() == "* ecdsa-sha2-nistp521 AAAA\n"


def test_variables_of_config_maps_and_secrets_are_exported_to_the_ranks(
    start: Start, logs: Path, tmp_path: Path
) -> None:
    sources = tmp_path / "env-from"
    for source, key in (("0-", "PROXY"), ("1-WANDB_", "API_KEY"), ("0-", "settings.json"), ("0-", "ABSENT")):
        (sources / source / "..data").mkdir(parents=True, exist_ok=True)  # as the kubelet mounts it
        (sources / source / key).write_text("value")
    environment = {"ENV_FROM": str(sources), "PROXY": "p", "WANDB_API_KEY": "secret"}
    _, output = finish(start([], "mpirun", "-x", "PATH", "-np", "2", **environment))
    assert (logs / "mpirun").read_text().split() == [
        *("-x", "PROXY", "-x", "WANDB_API_KEY"),
        *("-x", "PATH", "-np", "2"),
    ]
    assert "secret" not in output


def test_a_variable_that_the_chart_exports_is_exported_once(start: Start, logs: Path, tmp_path: Path) -> None:
    (tmp_path / "env-from" / "0-").mkdir(parents=True)
    (tmp_path / "env-from" / "0-" / "NCCL_DEBUG").touch()
    finish(start([], "mpirun", "-x", "NCCL_DEBUG", ENV_FROM=str(tmp_path / "env-from"), NCCL_DEBUG="INFO"))
    assert (logs / "mpirun").read_text().split() == ["-x", "NCCL_DEBUG"]


def test_localhost_needs_no_ssh(start: Start, logs: Path) -> None:
    code, output = finish(start(["localhost"]))
    assert code == 7
    assert "answer" not in output  # "0 workers answer" would confuse a user of local mode
    assert not (logs / "ssh").exists()


def test_ssh_receives_the_charts_options_as_separate_arguments(start: Start, logs: Path) -> None:
    finish(start(["up-0"]))
    asked = (logs / "ssh").read_text()
    assert "[-p][2222][-o][LogLevel=ERROR][up-0][true]" in asked


def test_it_waits_for_a_worker_that_comes_late(start: Start, logs: Path) -> None:
    code, output = finish(start(["up-0", "late"]))
    assert code == 7
    assert "launch: 2 workers answer" in output
    assert (logs / "ssh").read_text().count("late") == 3


def test_a_worker_that_never_answers_is_named_when_the_time_is_up(start: Start, logs: Path) -> None:
    code, output = finish(start(["up-0", "demo-worker-1.demo.kubeflow.svc"], LAUNCH_TIMEOUT="1"))
    assert code == 1
    assert (
        "launch: demo-worker-1.demo.kubeflow.svc does not answer ssh after 1 s: "
        "ssh: connect to host demo-worker-1.demo.kubeflow.svc port 22: Connection refused\n"
    ) in output
    assert "launch: 1 of 2 workers do not answer." in output
    assert "up-0 does not answer" not in output
    assert not (logs / "mpirun").exists()


def test_a_directory_that_is_not_writable_is_named_with_the_fix(
    start: Start, logs: Path, tmp_path: Path
) -> None:
    (tmp_path / "fs").write_text("a file where the directory should be")
    code, output = finish(start(["up-0"]))
    directory, owner = tmp_path / "fs" / "kubeflow" / "demo", f"{os.getuid()}:{os.getgid()}"
    assert code == 1
    assert f"launch: {directory} is not writable for user {os.getuid()}, group {os.getgid()}." in output
    assert f"mkdir -p {directory} && chown {owner} {directory}" in output
    assert "maskrcnn.run_as_user" in output
    assert output.count("\n") == 1
    assert not (logs / "ssh").exists()


def test_the_check_makes_the_directory_and_leaves_nothing_in_it(start: Start, tmp_path: Path) -> None:
    finish(start([]))
    directory = tmp_path / "fs" / "kubeflow" / "demo"
    assert directory.is_dir()
    assert list(directory.iterdir()) == []


def test_a_missing_hostfile_is_reported(start: Start) -> None:
    code, output = finish(start([], OMPI_MCA_orte_default_hostfile="/nowhere/hostfile"))
    assert code == 1
    assert "launch: hostfile /nowhere/hostfile not found" in output


def test_a_program_that_the_image_does_not_have_is_named(start: Start) -> None:
    code, output = finish(start([], "mpirun-5", "-np", "2"))
    assert code == 127
    assert "launch: this image has no mpirun-5" in output


@pytest.mark.parametrize(
    ("env", "path"), [({}, "/usr/local/lib"), ({"LD_LIBRARY_PATH": "/opt/lib"}, "/opt/lib")]
)
def test_there_is_a_library_path_for_mpirun_to_export(
    start: Start, logs: Path, env: dict[str, str], path: str
) -> None:
    finish(start([], **env))
    assert (logs / "library-path").read_text().strip() == path


def test_sigterm_reaches_mpirun_as_the_signal_that_it_forwards_to_all_ranks(
    start: Start, logs: Path, tmp_path: Path
) -> None:
    (tmp_path / "bin" / "mpirun").write_text(
        "#!/bin/bash\ntrap 'sleep 0.2; exit 143' USR1\ntouch \"$LOGS/mpirun\"\nwhile :; do sleep 0.05; done\n"
    )
    process = start(["localhost"])
    while not (logs / "mpirun").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=10) == 143


def test_it_ends_at_once_when_the_pod_is_deleted(start: Start, logs: Path) -> None:
    process = start(["down-0"])
    while not (logs / "ssh").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=5) == 143
