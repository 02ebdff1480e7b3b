"""mrc-values on jobs of the chart stage-data: status, wait, and what preflight and plan conclude."""

import json
from pathlib import Path

import pytest
from mrc_values import helm
from mrc_values.manifests import objects
from preflights import ERROR, WARNING, findings_of, messages
from releases import given
from test_values_plan_claims import plan
from testcluster.charts import CHARTS
from testcluster.client import Client
from values_tool import mrc_values


@pytest.fixture
def staging(user: Client) -> Client:
    """A user with a job of two shards that stages onto the default claim for EFS."""
    values = helm.parse_flag("--set", ",".join([*given("stage-data"), "global.namespace=", "shards=2"]))
    user.apply(*objects(helm.render(CHARTS / "stage-data", values, "coco", user.namespace)))
    user.wait("job/coco", "jsonpath={.status.ready}=2")
    return user


def end(user: Client, code: int) -> None:
    """Ends all pods of the job that run (tools/testcluster/stages.yaml)."""
    selector = "--selector=batch.kubernetes.io/job-name=coco"
    user.kubectl("annotate", "pods", selector, f"mask-rcnn/exit-code={code}")


def test_status_shows_what_is_staged_where_and_how_far_it_is(staging: Client) -> None:
    done = mrc_values(staging, "status", "coco", "--format=json")
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    expected = {
        "state": "running",
        "done": 0,
        "shards": 2,
        "source": "s3://bucket/prefix",
        "directory": "/efs/data",
        "claim": "tensorpack-efs-gp-bursting",
        "reasons": [],
    }
    assert {name: status[name] for name in expected} == expected
    shown = mrc_values(staging, "status", "coco").stdout
    assert "0/2" in shown and "s3://bucket/prefix" in shown and "coco-1-" in shown


def test_wait_ends_when_all_shards_are_done(staging: Client) -> None:
    end(staging, 0)
    done = mrc_values(staging, "wait", "coco", "--timeout=60")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "finished"


def test_wait_ends_with_1_and_the_reason_when_the_data_is_wrong(staging: Client) -> None:
    end(staging, 4)
    done = mrc_values(staging, "wait", "coco", "--timeout=60")
    assert done.returncode == 1
    assert "FailJob" in done.stdout or "PodFailurePolicy" in done.stdout, done.stdout


def test_preflight_rejects_a_training_on_data_that_is_being_staged(staging: Client) -> None:
    (line,) = messages(findings_of(staging, "maskrcnn.device=cpu"), "MRC115", ERROR)
    assert line == (
        f"maskrcnn.data_dir: /efs/data is being staged by the job {staging.namespace}/coco, "
        f"0 of 2 shards done. Run mrc-values wait coco --namespace {staging.namespace} first."
    )
    assert (
        messages(findings_of(staging, "maskrcnn.device=cpu", "maskrcnn.data_dir=other"), "MRC115", ERROR)
        == []
    )


def test_preflight_warns_of_a_staging_that_has_failed(staging: Client) -> None:
    end(staging, 2)
    staging.wait("job/coco", "condition=Failed")
    (line,) = messages(findings_of(staging, "maskrcnn.device=cpu"), "MRC115", WARNING)
    assert "install its release again: it fetches only what is missing" in line


def test_after_staging_preflight_is_content_and_plan_reads_the_data_from_there(
    staging: Client, tmp_path: Path
) -> None:
    assert plan(staging, tmp_path)[0]["data_fs"] == "fsx", "while it is not complete"
    end(staging, 0)
    staging.wait("job/coco", "condition=Complete")
    findings = findings_of(staging, "maskrcnn.device=cpu")
    assert messages(findings, "MRC115", ERROR) == messages(findings, "MRC115", WARNING) == []
    chosen, printed = plan(staging, tmp_path)
    assert chosen == {"shared_fs": "efs", "data_fs": "efs"}
    assert "EFS: the job coco has staged s3://bucket/prefix into /efs/data." in printed


def test_an_install_of_staging_is_checked_for_its_claim(user: Client) -> None:
    flags = [f"--set={value}" for value in [*given("stage-data"), f"global.namespace={user.namespace}"]]
    chart = str(CHARTS / "stage-data")
    missing = mrc_values(user, "install", "coco", chart, *flags, "--dry-run", "--set=global.shared_pvc=none")
    assert missing.returncode == 1
    assert "MRC110 global.shared_pvc: the claim none does not exist" in missing.stdout + missing.stderr
    made = ["--set=global.shared_pvc=new", "--set=claim.create=true", "--set=claim.volume_handle=fs-0123"]
    created = mrc_values(user, "install", "coco", chart, *flags, "--dry-run", *made)
    assert "MRC110" not in created.stdout + created.stderr
