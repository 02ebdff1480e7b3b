"""``train`` on two hosts in network namespaces, with the real sshd, mpirun and Horovod."""

import json
import signal
from pathlib import Path

import pytest
import training_containers as containers
from namespaces import requires_hosts, running

pytestmark = requires_hosts

JOB = {**containers.HYPERPARAMETERS, "mrc_job_token": "token-a"}


@pytest.fixture(scope="module")
def tiny_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn scenes of 64 x 64 pixels: 16 for training, 4 for validation."""
    return containers.draw_scenes(tmp_path_factory.mktemp("scenes"))


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
        for host in hosts.values():
            host.send(signal.SIGTERM)
        assert hosts[1].code() == 0, hosts[1].text()
        assert hosts[2].code() == 0, hosts[2].text()
        assert "run_end outcome=stopped" in hosts[1].text()
        assert (hosts[1].ml / "model" / "model.json").exists()
