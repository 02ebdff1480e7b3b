"""Values files and what is sent for them: a mistake is one finding, and a request passes the API's model."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from mrc_sagemaker import service
from mrc_values.check import check
from sagemaker_tool import CHART, ECR, VALUES, run, write
from standin import MODEL, violations


def with_change(path: str, value: Any) -> Any:
    values = copy.deepcopy(VALUES)
    *sections, name = path.split(".")
    here = values
    for section in sections:
        here = here.setdefault(section, {})
    here[name] = value
    return values


MISTAKES = [
    ("sagemaker.output_s3_uri", "my-bucket/output", "MRC160", "Write s3://my-bucket/output."),
    (
        "sagemaker.output_s3_uri",
        "https://my-bucket.s3.amazonaws.com/output",
        "MRC160",
        "Write s3://my-bucket/output.",
    ),
    ("sagemaker.data.s3_uri", "/my-bucket/data", "MRC160", "Write s3://my-bucket/data."),
    ("sagemaker.checkpoints_s3_uri", "my-bucket/c", "MRC160", "Write s3://my-bucket/c."),
    ("sagemaker.endpoint.model_data_url", "my-bucket/model.tar.gz", "MRC160", "Write s3://"),
    ("sagemaker.output_s3_uri", "s3://My_Bucket/x", "MRC009", "sagemaker.output_s3_uri"),
    ("sagemaker.output_s3_uri", "", "MRC006", "is not set"),
    ("sagemaker.data.s3_uri", "", "MRC006", "is not set"),
    ("sagemaker.role", "", "MRC006", "mrc-sagemaker role makes one"),
    ("sagemaker.role", "SageMakerRole", "MRC009", "sagemaker.role"),
    ("sagemaker.role", "arn:aws:iam::1234:role/x", "MRC009", "sagemaker.role"),
    ("sagemaker.region", "us-west", "MRC009", "sagemaker.region"),
    ("sagemaker.region", "eu-central-1", "MRC166", "Push it to eu-central-1"),
    ("sagemaker.instance_type", "m4.xlarge", "MRC161", "Write ml.m4.xlarge"),
    ("sagemaker.instance_type", "p3.16xlarge", "MRC161", "Write ml.p3.16xlarge"),
    ("sagemaker.instance_type", "ml.p3", "MRC009", "sagemaker.instance_type"),
    ("sagemaker.endpoint.instance_type", "g4dn.xlarge", "MRC161", "Write ml.g4dn.xlarge"),
    ("sagemaker.endpoint.accelerator_type", "ml.eia1.medium", "MRC162", "no longer offers"),
    ("sagemaker.instance_count", 3, "MRC164", "3 hosts"),
    ("sagemaker.instance_count", 0, "MRC004", "sagemaker.instance_count"),
    ("sagemaker.instance_count", "2", "MRC004", "sagemaker.instance_count"),
    ("sagemaker.volume_gib", 0, "MRC004", "sagemaker.volume_gib"),
    ("sagemaker.volume_gib", 99999, "MRC004", "sagemaker.volume_gib"),
    ("sagemaker.max_run_seconds", 0, "MRC004", "sagemaker.max_run_seconds"),
    ("sagemaker.max_run_seconds", 9999999, "MRC004", "sagemaker.max_run_seconds"),
    ("sagemaker.max_wait_seconds", 3600, "MRC163", "only spot jobs"),
    ("sagemaker.spot", True, "MRC163", "Set max_wait_seconds."),
    ("sagemaker.spot", "yes", "MRC004", "sagemaker.spot"),
    ("sagemaker.data.file_system_id", "fs-0123456789abcdef0", "MRC165", "Remove one of the two."),
    ("sagemaker.data.file_system_id", "fs-xyz", "MRC009", "sagemaker.data.file_system_id"),
    ("sagemaker.data.file_system_id", "fsx-0123456789abcdef0", "MRC009", "sagemaker.data.file_system_id"),
    ("sagemaker.data.file_system_type", "FSx", "MRC004", "sagemaker.data.file_system_type"),
    ("sagemaker.data.input_mode", "Pipe", "MRC004", "sagemaker.data.input_mode"),
    ("sagemaker.data.directory", "fsx/data", "MRC009", "sagemaker.data.directory"),
    ("sagemaker.subnets", ["sub-1"], "MRC009", "sagemaker.subnets[0]"),
    ("sagemaker.subnets", "subnet-0123456789abcdef0", "MRC004", "sagemaker.subnets"),
    ("sagemaker.security_groups", ["default"], "MRC009", "sagemaker.security_groups[0]"),
    ("sagemaker.job_token", "a b", "MRC009", "sagemaker.job_token"),
    ("sagemaker.tags", ["team"], "MRC004", "sagemaker.tags"),
    ("sagemaker.instance_typ", "ml.p3.16xlarge", "MRC003", "instance_type"),
    ("sagemaker.outputs3uri", "s3://my-bucket/x", "MRC003", "sagemaker.outputs3uri"),
    ("sagemaker.endpoint.name", "mask_rcnn", "MRC009", "sagemaker.endpoint.name"),
    ("sagemaker.endpoint.name", "m" * 55, "MRC004", "sagemaker.endpoint.name"),
    ("sagemaker.endpoint.instance_count", 0, "MRC004", "sagemaker.endpoint.instance_count"),
    ("sagemaker.endpoint.environment", {"A": 1}, "MRC004", "sagemaker.endpoint.environment"),
    ("maskrcnn.image", "", "MRC", "maskrcnn.image"),
    ("maskrcnn.image", "docker.io/me/mask-rcnn:1", "MRC166", "Push it with mrc-images"),
    ("maskrcnn.train_script", "/train.py", "MRC166", "SageMaker runs the program train"),
    ("maskrcnn.gpus", 20, "MRC014", "not a multiple"),
    ("maskrcnn.lr_scedule", "1x", "MRC003", "lr_schedule"),
    ("maskrcnn.extra_config", ["DATA.TRAIN=" + "x" * 2501], "MRC167", "at most 2500"),
    (
        "maskrcnn.env",
        {"SECRET": {"valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}},
        "MRC006",
        "valueFrom",
    ),
]


@pytest.mark.parametrize(("path", "value", "rule", "part"), MISTAKES)
def test_a_mistake_is_one_clear_finding(path: str, value: Any, rule: str, part: str, tmp_path: Path) -> None:
    file = write(tmp_path / "values.yaml", with_change(path, value))
    result = check(CHART, [file], ["sagemaker.endpoint.enabled=true"])
    lines = [str(finding) for finding in result.findings]
    assert result.failing, lines
    assert any(rule in line and part in line for line in lines), lines
    assert all("\n" not in line for line in lines)


def test_a_finding_ends_the_command_before_anything_is_sent(tmp_path: Path) -> None:
    file = write(tmp_path / "values.yaml", with_change("sagemaker.output_s3_uri", "my-bucket/output"))
    done = run("train", "first", "-f", file)
    assert done.returncode == 1
    assert "error MRC160 sagemaker.output_s3_uri: my-bucket/output is not a location in S3." in done.stdout
    assert done.stderr == "mrc-sagemaker: 1 error; nothing was sent to AWS\n"


def test_the_printed_request_is_what_the_command_line_of_aws_takes(tmp_path: Path) -> None:
    done = run("train", "first", "-f", write(tmp_path / "values.yaml", VALUES), "--dry-run")
    assert done.returncode == 0, done.stderr + done.stdout
    request = json.loads(done.stdout)
    assert list(violations(MODEL.operation_model("CreateTrainingJob").input_shape, request, "")) == []
    assert request["TrainingJobName"] == "first"
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.p4d.24xlarge",
        "InstanceCount": 2,
        "VolumeSizeInGB": 100,
    }
    assert request["HyperParameters"]["TRAIN.STEPS_PER_EPOCH"] == "7500"
    assert len(request["HyperParameters"]["mrc_job_token"]) == 32
    assert request["AlgorithmSpecification"]["TrainingImage"] == f"{ECR}/mask-rcnn:1"


def test_the_names_of_model_configuration_and_endpoint_agree(tmp_path: Path) -> None:
    """The seed's command lines name a model in the configuration that was never created."""
    done = run("endpoint", "first", "-f", write(tmp_path / "values.yaml", VALUES), "--dry-run")
    assert done.returncode == 0, done.stderr + done.stdout
    requests = json.loads(done.stdout)
    (variant,) = requests["CreateEndpointConfig"]["ProductionVariants"]
    assert variant["ModelName"] == requests["CreateModel"]["ModelName"]
    assert (
        requests["CreateEndpoint"]["EndpointConfigName"]
        == requests["CreateEndpointConfig"]["EndpointConfigName"]
    )
    for operation, request in requests.items():
        assert list(violations(MODEL.operation_model(operation).input_shape, request, "")) == []


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"TrainingJobName": "a_b"}, "TrainingJobName"),
        ({"TrainingJobName": "a" * 64}, "TrainingJobName"),
        ({"RoleArn": "SageMakerRole"}, "RoleArn"),
        (
            {"ResourceConfig": {"InstanceType": "m4.xlarge", "VolumeSizeInGB": 1}},
            "ResourceConfig.InstanceType",
        ),
        ({"OutputDataConfig": {"S3OutputPath": "my-bucket"}}, "OutputDataConfig.S3OutputPath"),
        ({"StoppingCondition": {"MaxRuntimeInSeconds": 0}}, "StoppingCondition.MaxRuntimeInSeconds"),
        ({"HyperParameters": {"a": "b" * 2501}}, "HyperParameters.a"),
        ({"HyperParameters": {"a": 1}}, "HyperParameters.a"),
        ({"EnableManagedSpotTraining": "yes"}, "EnableManagedSpotTraining"),
        ({"InstanceType": "ml.m5.large"}, "InstanceType"),
    ],
)
def test_requests_are_checked_as_the_service_does(change: dict[str, Any], path: str) -> None:
    paths = {problem.path for problem in service.problems("CreateTrainingJob", change)}
    assert path in paths


def test_an_asynchronous_endpoint_takes_images_over_the_limit_of_a_synchronous_one(tmp_path: Path) -> None:
    """The server's own limit is that of a synchronous endpoint, 6 MiB."""
    values = write(tmp_path / "values.yaml", VALUES)
    answers = "sagemaker.endpoint.async_output_s3_uri=s3://my-bucket/answers"
    done = run("endpoint", "first", "-f", values, "--set", answers, "--dry-run")
    assert done.returncode == 0, done.stdout + done.stderr
    container = json.loads(done.stdout)["CreateModel"]["PrimaryContainer"]
    assert container["Environment"] == {"MRC_SERVE_MAX_BODY": "1073741824"}
