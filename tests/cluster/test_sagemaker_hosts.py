"""``train`` on two hosts in network namespaces, with the real sshd, mpirun and Horovod."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import training_containers as containers
from namespaces import Host, requires_hosts, running

pytestmark = requires_hosts

JOB = {**containers.HYPERPARAMETERS, "mrc_job_token": "token-a"}


@pytest.fixture(scope="module")
def tiny_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes of 64 x 64 pixels: 16 for training, 4 for validation."""
    return containers.draw_scenes(tmp_path_factory.mktemp("scenes"))


@contextmanager
def volumes(directories: Sequence[Path], size: str) -> Iterator[None]:
    """Directories that are small volumes of their own."""
    with ExitStack() as stack:
        for directory in directories:
            directory.mkdir(parents=True)
            subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", directory], check=True)
            stack.callback(unmount, directory)
        yield


def unmount(directory: Path) -> None:
    subprocess.run(["umount", "--lazy", directory], check=True)


def test_two_hosts_train_one_model(tmp_path: Path, tiny_scenes: Path) -> None:
    with running(tmp_path, tiny_scenes, {1: JOB, 2: JOB}) as hosts:
        assert hosts[1].code() == 0, hosts[1].text() + hosts[2].text()
        assert hosts[2].code() == 0, hosts[2].text()
        log = hosts[1].text()
        assert "rank 0 of 2" in log
        assert "rank 1 of 2" in log
        model = json.loads((hosts[1].ml / "model" / "model.json").read_text())
        assert model["checkpoint"] == "model-6"
        assert not list((hosts[2].ml / "model").iterdir())
        assert hosts[1].failure == hosts[2].failure == ""


def test_sigterm_saves_on_all_hosts(tmp_path: Path, tiny_scenes: Path) -> None:
    """sagemaker-training-toolkit 125 and 173: only the first host's launcher ever heard of it."""
    job = {**JOB, "TRAIN.LR_EPOCH_SCHEDULE": "[(20000, None)]"}
    with running(tmp_path, tiny_scenes, {1: job, 2: job}) as hosts:
        hosts[1].wait_for("checkpoint step=")
        check_keys(hosts)
        for host in hosts.values():
            host.send(signal.SIGTERM)
        assert hosts[1].code() == 0, hosts[1].text()
        assert hosts[2].code() == 0, hosts[2].text()
        assert "run_end outcome=stopped" in hosts[1].text()
        assert (hosts[1].ml / "model" / "model.json").exists()


def test_full_volumes_fail_both_hosts_with_the_trainers_own_line(tmp_path: Path, tiny_scenes: Path) -> None:
    """sagemaker-training-toolkit 204: the job was Completed. A checkpoint of this model has 580 kB."""
    roots = {f"algo-{number}": tmp_path / f"host-{number}" / "ml" for number in (1, 2)}
    with volumes(list(roots.values()), "400k"):
        for name, root in roots.items():
            containers.lay_out(root, tiny_scenes, JOB, name, list(roots))
        with running(tmp_path, tiny_scenes, {1: JOB, 2: JOB}) as hosts:
            assert hosts[1].code() == 1, hosts[1].text()
            assert hosts[2].code(timeout=60) == 1, hosts[2].text()
            assert hosts[1].failure.startswith(
                "mrc-train: error: /opt/ml/output/data/run/model-3 cannot be saved: "
            ), hosts[1].text()
            assert hosts[2].failure == hosts[1].failure
            assert not list((hosts[1].ml / "model").iterdir())


def check_keys(hosts: dict[int, Host]) -> None:
    """Private keys stay where they were made; the other host accepts the first one only."""
    keys = {number: host.path("/run/mrc-hosts") for number, host in hosts.items()}
    client_key, host_key = (
        " ".join(path.read_text().split()[:2]) for path in (keys[1] / "client.pub", keys[2] / "host.pub")
    )
    accepted = (keys[2] / "authorized_keys").read_text().strip()
    assert accepted == f'from="198.18.201.1",restrict {client_key}'
    assert {path.name for path in keys[2].iterdir()} == {"authorized_keys", "host", "host.pub", "sshd_config"}
    assert {path.name for path in keys[1].iterdir()} == {"client", "client.pub", "known_hosts"}
    assert (keys[1] / "known_hosts").read_text().strip() == f"algo-2 {host_key}"


def test_a_killed_rank_fails_both_hosts_with_its_signal(tmp_path: Path, tiny_scenes: Path) -> None:
    """As by the kernel when memory is short; the exit code is neither 0 nor that of a mistake."""
    job = {**JOB, "TRAIN.LR_EPOCH_SCHEDULE": "[(20000, None)]"}
    with running(tmp_path, tiny_scenes, {1: job, 2: job}) as hosts:
        hosts[1].wait_for("rank 1 of 2")
        hosts[2].kill("mrc-train")
        assert hosts[1].code(timeout=90) == 137, hosts[1].text()
        assert hosts[2].code(timeout=60) == 137, hosts[2].text()
        assert re.fullmatch(
            r"mpirun noticed that process rank 1 with PID \d+ on node algo-2 exited on signal 9 \(Killed\)\.",
            hosts[1].failure,
        )
        assert hosts[2].failure == hosts[1].failure
