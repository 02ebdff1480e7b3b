"""``train`` on two hosts that never begin to train: each ends in time and its failure file says why."""

from pathlib import Path

import training_containers as containers
from namespaces import requires_hosts, running

pytestmark = requires_hosts

JOB = {**containers.HYPERPARAMETERS, "mrc_job_token": "token-a"}


def test_a_failed_rank_fails_both_hosts_with_its_own_line(tmp_path: Path, tiny_scenes: Path) -> None:
    job = {**JOB, "BACKBONE.WEIGHTS": "R50.npz"}
    with running(tmp_path, tiny_scenes, {1: job, 2: job}) as hosts:
        assert hosts[1].code() == 1
        assert hosts[2].code() == 1
        assert hosts[1].failure.startswith("mrc-train: error: R50.npz: no such weights")
        assert hosts[2].failure == hosts[1].failure


def test_a_wrong_token_is_rejected(tmp_path: Path, tiny_scenes: Path) -> None:
    jobs = {1: JOB, 2: {**JOB, "mrc_job_token": "token-b"}}
    with running(tmp_path, tiny_scenes, jobs, LAUNCH_TIMEOUT="5") as hosts:
        assert hosts[2].code() == 1
        assert hosts[2].failure == (
            "train: error: algo-1 has another mrc_job_token than algo-2; start the job again"
        )
        assert hosts[1].code() == 1
        assert hosts[1].failure == (
            "train: error: algo-2 did not arrive within 5 s; "
            "rejected messages with another token from 198.18.201.2"
        )


def test_a_missing_host_is_named_after_a_bounded_wait(tmp_path: Path, tiny_scenes: Path) -> None:
    """sagemaker-python-sdk 1369: the job hung until its time was up."""
    with running(tmp_path, tiny_scenes, {1: JOB, 2: JOB}, absent=2, LAUNCH_TIMEOUT="2") as hosts:
        assert hosts[1].code(timeout=60) == 1
        assert hosts[1].failure == "train: error: algo-2 did not arrive within 2 s"


def test_a_missing_first_host_is_named_after_a_bounded_wait(tmp_path: Path, tiny_scenes: Path) -> None:
    with running(tmp_path, tiny_scenes, {1: JOB, 2: JOB}, absent=1, LAUNCH_TIMEOUT="2") as hosts:
        assert hosts[2].code(timeout=60) == 1
        assert hosts[2].failure.startswith("train: error: algo-1 did not answer within 2 s: ")


def test_the_other_hosts_end_when_the_first_is_killed(tmp_path: Path, tiny_scenes: Path) -> None:
    job = {**JOB, "TRAIN.LR_EPOCH_SCHEDULE": "[(20000, None)]"}
    with running(tmp_path, tiny_scenes, {1: job, 2: job}) as hosts:
        hosts[2].wait_for("algo-2 is ready for algo-1")
        hosts[1].process.kill()
        assert hosts[2].code(timeout=90) == 1
        assert hosts[2].failure.startswith("train: error: algo-1 is gone: ")


def test_a_job_without_a_token_says_what_to_set(tmp_path: Path, tiny_scenes: Path) -> None:
    with running(tmp_path, tiny_scenes, {1: containers.HYPERPARAMETERS, 2: JOB}, absent=2) as hosts:
        assert hosts[1].code(timeout=60) == 1
        assert "a job on 2 hosts needs the hyperparameter mrc_job_token" in hosts[1].failure
