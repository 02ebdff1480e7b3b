"""A launcher that loses its network while the workers live: hosts in namespaces, with the real mpirun."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import tiny
from mrc_train.run_directory import newest_checkpoint
from testcluster.client import until

HOSTS = {"launcher-a": 1, "launcher-b": 2, "worker-0": 3, "worker-1": 4}
NETWORK = "198.18.202"

# Open MPI notices a silent host after this many seconds (by default 300 and 9 probes, 20 s apart).
KEEPALIVE = {"oob_tcp_keepalive_time": "3", "oob_tcp_keepalive_intvl": "1", "oob_tcp_keepalive_probes": "3"}


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def network() -> Iterator[Callable[[str], str]]:
    """Hosts on one bridge; a call returns the name of a host's namespace, which is that of its cable too."""
    mark = f"mrc{os.getpid() % 10_000}"
    bridge = f"{mark}br"
    names = {host: f"{mark}h{number}" for host, number in HOSTS.items()}
    ip("link", "add", bridge, "type", "bridge")
    try:
        ip("link", "set", bridge, "up")
        for host, number in HOSTS.items():
            name = names[host]
            ip("netns", "add", name)
            ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
            ip("link", "set", name, "master", bridge, "up")
            ip("-n", name, "address", "add", f"{NETWORK}.{number}/24", "dev", "eth0")
            ip("-n", name, "link", "set", "eth0", "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names.__getitem__
    finally:
        for process in psutil.process_iter():
            if mark in _environment(process).get("MRC_TEST_HOSTS", ""):
                process.kill()
        for name in names.values():
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)
        subprocess.run(["ip", "link", "delete", bridge], capture_output=True)


def test_the_next_launcher_takes_over_when_the_workers_notice_that_the_first_is_cut_off(
    network: Callable[[str], str], tmp_path: Path
) -> None:
    data, run = tmp_path / "data", tmp_path / "run"
    subprocess.run([tiny.BIN / "mrc-scenes", data, "--train=8", "--val=4", "--size=64"], check=True)
    first = launch(network, tmp_path, "launcher-a", data, run)
    until(lambda: newest_checkpoint(run) is not None or _ended(first), "a checkpoint", 240)
    ip("link", "set", network("launcher-a"), "down")
    second = launch(network, tmp_path, "launcher-b", data, run)
    log = (tmp_path / "launcher-b.log").read_text
    until(lambda: "resuming from" in log() or _ended(second), "another launcher that resumes", 240)
    assert "another run writes here; waiting up to" in log()
    assert second.poll() is None, log()


def launch(
    network: Callable[[str], str], directory: Path, host: str, data: Path, run: Path
) -> "subprocess.Popen[bytes]":
    """Start mpirun on a launcher's host, with a rank on each worker's host, and without end."""
    agent = directory / "agent.sh"
    namespaces = "".join(f"{NETWORK}.{number}) name={network(host)} ;; " for host, number in HOSTS.items())
    agent.write_text(
        f"#!/bin/sh\ncase $1 in {namespaces} esac\nhost=$1\nshift\n"
        'exec ip netns exec $name unshare --uts sh -c "hostname host-$name; $*"\n'
    )
    agent.chmod(0o755)
    hosts = ",".join(f"{NETWORK}.{HOSTS[worker]}" for worker in ("worker-0", "worker-1"))
    parameters = KEEPALIVE | {
        "plm_rsh_agent": str(agent),
        "oob_tcp_if_include": "eth0",
        "btl_tcp_if_include": "eth0",
        "btl": "tcp,self",
        "pml": "ob1",
    }
    given = [word for name, value in parameters.items() for word in ("--mca", name, value)]
    endless = ("TRAIN.STEPS_PER_EPOCH=2", "TRAIN.LR_EPOCH_SCHEDULE=[(9999, None)]", "TRAIN.EVAL_PERIOD=0")
    settings = ("TRAINER=horovod", f"DATA.BASEDIR={data}", *tiny.SETTINGS, *endless)
    command = [
        *("ip", "netns", "exec", network(host), "unshare", "--uts"),
        *("sh", "-c", f'hostname {host}; exec "$@"', "sh"),
        *(tiny.BIN / "mpirun", "--allow-run-as-root", "--host", hosts),
        *("-np", "2", "--bind-to", "none", *given, "-x", "PATH", "-x", "MRC_TEST_HOSTS"),
        *(tiny.BIN / "mrc-train", "--logdir", run, "--config", *settings),
    ]
    with (directory / f"{host}.log").open("wb") as log:
        return subprocess.Popen(
            list(map(str, command)),
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": f"{tiny.BIN}:{os.environ['PATH']}", "MRC_TEST_HOSTS": network(host)},
        )


def _ended(process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "mpirun has ended"
    return False


def _environment(process: psutil.Process) -> dict[str, str]:
    try:
        return process.environ()
    except psutil.Error:
        return {}
