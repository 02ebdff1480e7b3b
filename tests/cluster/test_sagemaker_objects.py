"""Objects of ACK's SageMaker controller on a real API server, with definitions of ACK's shape.

No controller runs: the tests write the status that ACK's would write.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ack_crds
import pytest
import sagemaker_tool
import test_conversion
import yaml
from mrc_sagemaker import rendering
from mrc_values.arguments import Given
from mrc_values.cluster import sagemaker
from mrc_values.manifests import objects
from releases import install
from sagemaker_tool import CHART, VALUES
from testcluster.client import Client, CommandFailed, Object
from values_tool import cluster_of, mrc_values, submit

S3_PREFIX = "s3://my-bucket"
ENDPOINT = ("sagemaker.endpoint.enabled=true", "sagemaker.endpoint.image=server:1")

RENDERS: dict[str, dict[str, Any]] = {
    "data in S3": {},
    "data on FSx": {
        "data": {"file_system_id": "fs-0123456789abcdef0", "directory": "/fsx/data", "s3_uri": ""},
        "subnets": ["subnet-1"],
        "security_groups": ["sg-1"],
    },
    "a spot job": {
        "spot": True,
        "max_wait_seconds": 172800,
        "checkpoints_s3_uri": f"{S3_PREFIX}/checkpoints",
        "weights_s3_uri": f"{S3_PREFIX}/weights",
        "tags": {"team": "vision"},
    },
    "an endpoint": {"endpoint": {**VALUES["sagemaker"]["endpoint"], "enabled": True}},
    "an asynchronous endpoint": {
        "region": "us-west-2",
        "endpoint": {
            **VALUES["sagemaker"]["endpoint"],
            "enabled": True,
            "async_output_s3_uri": f"{S3_PREFIX}/answers",
            "environment": {"QUEUE": "8"},
        },
    },
}


@pytest.fixture(scope="module")
def ack(team: Client) -> Iterator[Client]:
    """A user of a cluster that has the definitions."""
    team.apply(*ack_crds.definitions())
    names = [f"crd/{definition['metadata']['name']}" for definition in ack_crds.definitions()]
    team.kubectl("wait", *names, "--for=condition=Established", "--timeout=60s")
    yield team
    team.kubectl("delete", *names)


@pytest.fixture(scope="module")
def job(ack: Client) -> str:
    """A training job and its endpoint, called demo; each test writes the status that it needs."""
    ack.apply(*rendered(ack, RENDERS["an endpoint"], "demo"))
    return "demo"


def rendered(user: Client, changes: dict[str, Any], name: str) -> list[Object]:
    """What the chart renders for values, which are checked first."""
    path = Path(user.cluster.directory) / "values.yaml"
    values = {**VALUES, "global": {"namespace": user.namespace}}
    values["sagemaker"] = {**VALUES["sagemaker"], **changes}
    given = Given([sagemaker_tool.write(path, values)], [])
    return list(objects(rendering.checked(name, CHART, given).rendered))


def report(user: Client, kind: str, name: str, **status: Any) -> None:
    """Write a status as ACK's controller does; the former one is replaced."""
    body = [{"op": "add", "path": "/status", "value": status}]
    user.kubectl("patch", kind, name, "--subresource=status", "--type=json", f"--patch={json.dumps(body)}")


def condition(kind: str, message: str = "") -> dict[str, Any]:
    """Conditions with one that holds."""
    return {"conditions": [{"type": f"ACK.{kind}", "status": "True", "message": message}]}


def host(user: Client, **status: Any) -> None:
    """Model and configuration exist; the endpoint has a status."""
    for item in user.objects("models,endpointconfigs", **{"app.kubernetes.io/instance": "demo"}):
        arn = {"arn": f"arn:aws:sagemaker:us-west-2:123456789012:{item['metadata']['name']}"}
        report(user, item["kind"], item["metadata"]["name"], ackResourceMetadata=arn)
    report(user, "endpoint", "demo", **status)


@pytest.mark.parametrize("case", RENDERS)
def test_the_api_server_takes_every_field_that_the_chart_renders(ack: Client, case: str) -> None:
    items = rendered(ack, RENDERS[case], case.replace(" ", "-").lower())
    ack.apply(*items)
    for item in items:
        assert ack.get(item["kind"], item["metadata"]["name"])["spec"] == item["spec"]


def test_a_field_that_ack_does_not_know_is_rejected(ack: Client) -> None:
    """What the test above relies on."""
    (item,) = rendered(ack, {}, "unknown")
    item["spec"]["algorithmSpecification"]["containerEntrypoint"] = ["train"]
    with pytest.raises(CommandFailed, match='unknown field "containerEntrypoint"'):
        ack.apply(item)


def test_converted_manifests_of_the_legacy_operator_are_taken(ack: Client, tmp_path: Path) -> None:
    legacy = sagemaker_tool.write(
        tmp_path / "seed.yaml", yaml.safe_dump_all([test_conversion.TRAIN, test_conversion.HOSTING])
    )
    done = sagemaker_tool.run("convert", legacy)
    items = list(yaml.safe_load_all(done.stdout))
    assert [item["kind"] for item in items] == list(sagemaker.KINDS)
    ack.apply(*items)
    report(ack, "trainingjob", "mask-rcnn", trainingJobStatus="Stopped", secondaryStatus="Stopped")
    waited = mrc_values(ack, "wait", "mask-rcnn")
    assert waited.returncode == 1
    assert waited.stdout.startswith("stopped, TrainingJob mask-rcnn: Stopped\n")


DOWNLOADING = {"trainingJobStatus": "InProgress", "secondaryStatus": "Downloading"}
TRAINING = {"trainingJobStatus": "InProgress", "secondaryStatus": "Training"}
COMPLETED = {"trainingJobStatus": "Completed", "secondaryStatus": "Completed"}
FAILED = {"trainingJobStatus": "Failed", "secondaryStatus": "Failed"}
DISK_FULL = "AlgorithmError: mrc-train: error: no space left on device, exit code: 1"


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (
            {**FAILED, "failureReason": DISK_FULL},
            1,
            "failed, TrainingJob demo: Failed\n"
            f"  the TrainingJob demo failed: {DISK_FULL}. mrc-sagemaker logs demo\n",
        ),
        (
            {"trainingJobStatus": "Stopped", "secondaryStatus": "Stopped"},
            1,
            "stopped, TrainingJob demo: Stopped\n"
            "  the training job demo was stopped before its end. Set maskrcnn.run for another run.\n",
        ),
        (
            {"trainingJobStatus": "Stopped", "secondaryStatus": "MaxRuntimeExceeded"},
            1,
            "stopped, TrainingJob demo: Stopped, MaxRuntimeExceeded\n"
            "  the training job demo reached max_run_seconds. Set maskrcnn.run for another run.\n",
        ),
        (
            condition("Terminal", "Resource already exists"),
            1,
            "failed\n  a TrainingJob demo already exists on SageMaker, and a name is never free again. "
            "Set maskrcnn.run for another run.\n",
        ),
        (
            {**DOWNLOADING, **condition("Recoverable", "AccessDeniedException: not authorized to perform X")},
            1,
            "waiting, TrainingJob demo: InProgress, Downloading\n"
            "  TrainingJob demo: ACK's controller tries again after: "
            "AccessDeniedException: not authorized to perform X.\n",
        ),
    ],
)
def test_wait_tells_how_a_training_job_ended(
    ack: Client, job: str, status: dict[str, Any], code: int, expected: str
) -> None:
    report(ack, "trainingjob", job, **status)
    done = mrc_values(ack, "wait", job, "--timeout=0")
    assert (done.returncode, done.stdout) == (code, expected)


def test_wait_ends_when_job_and_endpoint_are_ready(ack: Client, job: str) -> None:
    report(ack, "trainingjob", job, **COMPLETED)
    waiting = mrc_values(ack, "wait", job, "--timeout=0")
    assert waiting.returncode == 1
    assert "demo: not finished after 0 s: waiting, TrainingJob demo: Completed." in waiting.stderr
    host(ack, endpointStatus="InService")
    done = mrc_values(ack, "wait", job)
    expected = "finished, TrainingJob demo: Completed; Endpoint demo: InService\n"
    assert (done.returncode, done.stdout) == (0, expected)


def test_a_failed_update_of_an_endpoint_is_a_failure(ack: Client, job: str) -> None:
    """terraform-provider-aws 39099: SageMaker calls such an endpoint InService."""
    report(ack, "trainingjob", job, **COMPLETED)
    host(ack, endpointStatus="InService", failureReason="The container did not pass the ping health check.")
    done = mrc_values(ack, "wait", job)
    assert done.returncode == 1
    assert "the update of the endpoint demo failed; it serves its former configuration: The container" in (
        done.stdout
    )


def test_wait_for_running_ends_when_the_containers_have_started(ack: Client) -> None:
    (item,) = rendered(ack, {}, "other")
    ack.apply(item)
    report(ack, "trainingjob", "other", **DOWNLOADING)
    assert mrc_values(ack, "wait", "other", "--for=running", "--timeout=0").returncode == 1
    report(ack, "trainingjob", "other", **TRAINING)
    done = mrc_values(ack, "wait", "other", "--for=running")
    assert (done.returncode, done.stdout) == (0, "running, TrainingJob other: InProgress, Training\n")
    ack.kubectl("delete", "trainingjob", "other")
    gone = mrc_values(ack, "wait", "other")
    assert gone.stderr.startswith(f"mrc-values: no training job other in the namespace {ack.namespace}.")


def test_status_shows_all_objects_and_the_model(ack: Client, job: str) -> None:
    model = "s3://my-bucket/output/demo/output/model.tar.gz"
    report(ack, "trainingjob", job, **COMPLETED, modelArtifacts={"s3ModelArtifacts": model})
    host(ack, endpointStatus="Creating")
    shown = [line.split() for line in mrc_values(ack, "status", job).stdout.splitlines()]
    assert shown[:2] == [
        ["kind", "name", "state", "SageMaker"],
        ["TrainingJob", job, "finished", "Completed"],
    ]
    assert shown[4] == ["Endpoint", job, "waiting", "Creating"]
    assert shown[-1] == ["model:", model]
    status = json.loads(mrc_values(ack, "status", job, "--format=json").stdout)
    assert status["state"] == "waiting"
    assert [item["kind"] for item in status["objects"]] == list(sagemaker.KINDS)


def test_list_shows_what_is_on_sagemaker_beside_mpijobs(ack: Client, job: str) -> None:
    install(ack, "released", "sagemaker", *ENDPOINT)
    report(ack, "trainingjob", "released", **TRAINING)
    report(ack, "trainingjob", job, **COMPLETED)
    submit(ack, "beside", "maskrcnn.node_group=p4d", "maskrcnn.suspend=true")
    rows = json.loads(mrc_values(ack, "list", "--format=json").stdout)
    shown = [tuple(row[name] for name in ("release", "kind", "job", "state")) for row in rows]
    here = ack.namespace
    assert ("released", "TrainingJob", f"{here}/released", "running") in shown
    assert ("released", "Endpoint", f"{here}/released", "waiting") in shown
    assert ("", "TrainingJob", f"{here}/{job}", "finished") in shown
    assert ("", "MPIJob", f"{here}/beside") in [row[:3] for row in shown]
    assert len([row for row in shown if row[0] == "released"]) == 2


def test_an_object_without_a_controller_is_named(ack: Client, job: str) -> None:
    items = sagemaker.find(cluster_of(ack), job, ack.namespace)
    for item in items:
        item["metadata"]["creationTimestamp"] = "2026-01-01T00:00:00Z"
        item["status"] = {}
    (part, *_) = sagemaker.parts(items)
    assert str(part.reasons[0]).startswith(
        "ACK's SageMaker controller has not processed the TrainingJob demo"
    )


def test_logs_names_the_command_for_a_job_on_sagemaker(ack: Client, job: str) -> None:
    done = mrc_values(ack, "logs", job)
    assert done.returncode == 1
    assert done.stderr == (
        "mrc-values: demo trains on SageMaker, which keeps its log: mrc-sagemaker logs demo\n"
    )
